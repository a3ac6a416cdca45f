// `event.locals.auth`, made for one request.

import { error, redirect, type RequestEvent } from '@sveltejs/kit';

import { type Engine, EngineUnreachable, type Entry, type SignedIn } from './engine/engine.js';
import type { Auth, Session } from './types.js';
import type { Inquiry } from './inquiry.js';

/** The face of `inquiry` for the application. */
export function locals(engine: Engine, event: RequestEvent, inquiry: Inquiry): Auth {
	const visitor = async () => signedIn(await known(inquiry.entry()));

	async function auth(): Promise<Session | null> {
		return (await visitor())?.session ?? null;
	}

	async function accessToken(): Promise<string> {
		const found = await visitor();
		if (found === null) error(401, 'Sign in first.');
		if (found.accessToken !== null) return found.accessToken;
		switch (found.refusal) {
			case 'renewal_suspended':
				error(503, 'The sign-in provider cannot be reached. You are still signed in: try again a little later.');
			case 'reauthentication_required':
				error(401, 'The sign-in provider wants to see you again: sign in once more.');
			default:
				error(403, 'This session has no access token.');
		}
	}

	async function info() {
		const found = await visitor();
		if (found === null) return null;
		const { generation, expiresAt, provider, sid, condition } = found;
		return { generation, expiresAt, provider, sid, condition };
	}

	async function refresh() {
		if (!engine.holdsCookies) renewAtTheGateway(engine, event);
		const { visitor: found, renewed } = await known(inquiry.renew());
		if (found.state === 'stranger') return null;
		return { renewed, generation: found.generation, expiresAt: found.expiresAt };
	}

	async function update(data: unknown): Promise<Session | null> {
		if (!engine.holdsCookies) throw new Error(`Behind the gateway the browser updates its session: POST ${engine.base}/session, or update() of perennial-sveltekit/client.`);
		const answer = await known(engine.post(event.request, '/session', { data }));
		if (answer.status !== 200) error(502, 'The session could not be updated.');
		inquiry.changed(answer.setCookies);
		return answer.body as Session | null;
	}

	return Object.assign(auth, { accessToken, info, refresh, update });
}

/** Turns "nobody can say" into an answer that does not look like signed out. */
export async function known<T>(asked: Promise<T>): Promise<T> {
	try {
		return await asked;
	} catch (cause) {
		if (!(cause instanceof EngineUnreachable)) throw cause;
		console.error(cause.message);
		error(503, 'Sign-in is out of order for the moment. If you were signed in, you still are: try again a little later.');
	}
}

function signedIn({ visitor }: Entry): SignedIn | null {
	return visitor.state === 'stranger' ? null : visitor;
}

/** 307 has the browser post again, there, with its cookie; the gateway then sends it back to the page it came from. */
function renewAtTheGateway(engine: Engine, event: RequestEvent): never {
	if (event.request.method === 'POST' && !event.isRemoteRequest) redirect(307, `${engine.base}/refresh`);
	throw new Error(`Behind the gateway every request comes with a fresh access token; to renew on demand, POST ${engine.base}/refresh or use refresh() of perennial-sveltekit/client.`);
}
