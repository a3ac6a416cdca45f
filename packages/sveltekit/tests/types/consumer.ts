// What an application writes, as the compiler of an application sees it. Never run.

import type { Handle } from '@sveltejs/kit/hooks';
import type { RequestEvent } from '@sveltejs/kit';
import { beforeGateway, behindGateway, perennial, protect, type Auth, type Engine, type Session, type SessionInfo } from 'perennial-sveltekit';
import { createSession, refresh, signIn, signOut, update, useSession, type SessionState } from 'perennial-sveltekit/client';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(..._: Same<A, B> extends true ? [] : ['the types differ']) => {};

declare global {
	namespace App {
		interface Session {
			role: 'admin' | 'member';
		}
	}
}

const engine: Engine = beforeGateway({ gateway: 'http://127.0.0.1:4200', secret: 'x', compatRoutes: true });
const made = perennial({ engine: () => behindGateway({ issuer: 'https://app.example', audience: 'http://127.0.0.1:3000' }), protect: ['/(members)'] });
export const handle: Handle = made.handle;
export const actions = { default: made.signIn, out: made.signOut, refresh: made.refresh };
perennial({ engine });

// `event.locals.auth` is there without a declaration of the application's.
export async function load({ locals }: RequestEvent) {
	same<typeof locals.auth, Auth>();
	const session = await locals.auth();
	same<typeof session, Session | null>();
	// What the application's own `session` callback adds is known.
	same<NonNullable<typeof session>['role'], 'admin' | 'member'>();
	same<NonNullable<typeof session>['user']['name'], string | undefined>();
	// @ts-expect-error A stranger has no user.
	void session.user;
	same<Awaited<ReturnType<typeof locals.auth.info>>, SessionInfo | null>();
	same<Awaited<ReturnType<typeof locals.auth.accessToken>>, string>();
	const member = await protect();
	same<typeof member, Session>();
	return { session };
}

// @ts-expect-error The secret is not optional.
beforeGateway({ gateway: 'http://127.0.0.1:4200' });
// @ts-expect-error An engine is needed.
perennial({});
// @ts-expect-error Nothing in the browser's session is a token.
void useSession().accessToken;

export async function browser() {
	same<ReturnType<typeof useSession>, SessionState>();
	const session = createSession(() => null, { onchange: (now) => same<typeof now, Session | null>() });
	same<typeof session.current, Session | null>();
	await signIn('auth0', { callbackUrl: '/' }, { login_hint: 'alice' });
	await signOut({ redirect: false });
	same<Awaited<ReturnType<typeof refresh>>, { renewed: boolean; generation: number; expiresAt: Date | null }>();
	await update({ theme: 'dark' });
}
