// What only those may see who are signed in.

import { error, redirect, type RequestEvent } from '@sveltejs/kit';

import type { Engine } from './engine/engine.js';
import { known } from './locals.js';
import type { Session } from './types.js';
import { underWay, type Inquiry } from './inquiry.js';

/**
 * The session, for those who have one: in a `load` function, a form action, a `+server.js` handler or a remote function.
 *
 * A stranger's page load or form is sent to sign in and comes back afterwards; anything else of a stranger's gets `error(401)`.
 *
 * ```ts
 * export const load = async () => {
 * 	const session = await protect();
 * 	return { name: session.user.name };
 * };
 * ```
 */
export async function protect(): Promise<Session> {
	const current = underWay();
	if (current === undefined) {
		throw new Error('protect() was called outside a request, or `handle` of perennial() is missing from hooks.server');
	}
	const { event, inquiry, toSignIn } = current;
	const { visitor } = await known(inquiry.entry());
	if (visitor.state !== 'stranger' && visitor.session !== null) return visitor.session;
	return expectsPage(event) ? toSignIn(event, inquiry) : error(401, 'Sign in first.');
}

/** Whether a redirect would be followed by a person, and not by a script that wants data. */
export function expectsPage({ request, isDataRequest, isRemoteRequest }: RequestEvent): boolean {
	if (isRemoteRequest) return false;
	if (isDataRequest || request.headers.has('x-sveltekit-action')) return true;
	const mode = request.headers.get('sec-fetch-mode');
	return mode === null ? (request.headers.get('accept') ?? '').includes('text/html') : mode === 'navigate';
}

/** Sends a stranger to sign in: a page load straight to the provider if there is but one, everything else to the page that asks. */
export function signInPath(engineOf: () => Engine, page: string | undefined, provider: string | undefined) {
	return async (event: RequestEvent, inquiry: Inquiry): Promise<never> => {
		const engine = engineOf();
		const here = event.url.pathname + event.url.search;
		const get = event.request.method === 'GET' && !event.isDataRequest;
		if (provider !== undefined && get) {
			const { body, setCookies } = await known(engine.post(event.request, `/signin/${encodeURIComponent(provider)}`, { callbackUrl: here }));
			if (hasUrl(body)) {
				inquiry.keep(setCookies);
				redirect(303, body.url, { external: true });
			}
		}
		redirect(303, `${page ?? `${engine.base}/signin`}?${new URLSearchParams({ callbackUrl: here }).toString()}`);
	};
}

/** What endpoints answer to those who asked not to be redirected. */
export function hasUrl(body: unknown): body is { url: string } {
	return typeof body === 'object' && body !== null && 'url' in body && typeof body.url === 'string';
}
