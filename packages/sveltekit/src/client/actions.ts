// What a page asks of the engine's endpoints.

import type { Session } from '../types.js';
import { announce } from './tabs.js';

interface Place {
	/** The engine's `base_path`. */
	authPath?: string;
}

export interface SignInOptions extends Place {
	/** Where to come back to; this page unless said otherwise. */
	callbackUrl?: string;
}

export interface SignOutOptions extends Place {
	/** Where to go afterwards; this page unless said otherwise. */
	callbackUrl?: string;
	/** Whether to go there; otherwise only the session ends. */
	redirect?: boolean;
}

/**
 * Leaves for the provider, or for the page that asks which. `params` are those of the authorization request that the engine lets through, such
 * as `login_hint`.
 */
export async function signIn(provider?: string, options: SignInOptions = {}, params: Record<string, string> = {}): Promise<void> {
	const { authPath = '/auth', callbackUrl = location.href } = options;
	if (provider === undefined) {
		location.href = `${authPath}/signin?${new URLSearchParams({ callbackUrl }).toString()}`;
		return;
	}
	leave(await goThere(`${authPath}/signin/${encodeURIComponent(provider)}`, { ...params, callbackUrl }));
}

/** Ends the session, here and in every tab. */
export async function signOut({ authPath = '/auth', callbackUrl = location.href, redirect = true }: SignOutOptions = {}): Promise<void> {
	const url = await goThere(`${authPath}/signout`, { callbackUrl });
	announce({ session: null, at: Date.now() });
	if (redirect) leave(url);
}

/** No new token, and none that lives; or nobody is signed in any more. */
export class RefreshFailed extends Error {
	override name = 'RefreshFailed';

	constructor(
		/** 401: nobody is signed in. 503: the provider is out of reach, and the session is kept. */
		readonly status: number,
		/** Seconds after which to try again, if the engine said so. */
		readonly retryAfter: number | null
	) {
		super(status === 401 ? 'You are not signed in.' : 'The sign-in provider cannot be reached. You are still signed in.');
	}
}

/**
 * Renews the access token now. Where it was renewed a moment ago, in this tab or another, that one is reported and `renewed` is false.
 *
 * Throws `RefreshFailed`.
 */
export async function refresh({ authPath = '/auth' }: Place = {}): Promise<{ renewed: boolean; generation: number; expiresAt: Date | null }> {
	const response = await fetch(`${authPath}/refresh`, { method: 'POST', headers: { accept: 'application/json' } }).catch(() => null);
	if (response === null) throw new RefreshFailed(503, null);
	if (!response.ok) throw new RefreshFailed(response.status, Number(response.headers.get('retry-after')) || null);
	const told = (await response.json()) as { renewed: boolean; generation: number; expires_at: number | null };
	return {
		renewed: told.renewed,
		generation: told.generation,
		expiresAt: told.expires_at === null ? null : new Date(told.expires_at * 1000)
	};
}

/** Hands `data` to the engine's `jwt` callback (trigger `update`); the session that comes of it, in every tab. */
export async function update(data: unknown, { authPath = '/auth' }: Place = {}): Promise<Session | null> {
	const response = await fetch(`${authPath}/session`, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ data })
	});
	if (!response.ok) throw new Error(`The session could not be updated: ${response.status}.`);
	const session = (await response.json()) as Session | null;
	announce({ session, at: Date.now() });
	return session;
}

/** Posts a form; where the engine would have us go. */
async function goThere(path: string, fields: Record<string, string>): Promise<string> {
	const response = await fetch(path, {
		method: 'POST',
		headers: { 'x-auth-return-redirect': '1' },
		body: new URLSearchParams(fields)
	});
	const told: unknown = await response.json().catch(() => null);
	if (typeof told === 'object' && told !== null && 'url' in told && typeof told.url === 'string') return told.url;
	throw new Error(`${path} answered ${response.status}; sign-in may be out of order, try again a little later.`);
}

function leave(url: string) {
	location.href = url;
	// An address that differs only behind `#` is not loaded anew.
	if (url.includes('#')) location.reload();
}
