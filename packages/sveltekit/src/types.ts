// What an application sees of a session. `App.Session` is where it adds what its `session` callback adds.

/** What is shown of everybody who is signed in. */
export interface DefaultSession {
	user: {
		name?: string;
		email?: string;
		image?: string;
	};
	/** When the session ends unless it is used, as ISO 8601. */
	expires: string;
}

/** The session as the browser may see it: the default, and what the application declares in `App.Session`. */
export type Session = DefaultSession & App.Session;

/** `degraded`: the access token lives, but the last attempt at the next one failed. */
export type Condition = 'fresh' | 'renewing' | 'degraded' | 'suspended' | 'ended';

/** Beside the session itself: how fresh it is. Nothing here opens anything, so it may be shown. */
export interface SessionInfo {
	/** How many renewals lie behind the session. */
	generation: number;
	/** When the access token expires; `null` if that is unknown. */
	expiresAt: Date | null;
	/** The id of the provider the user signed in with. */
	provider: string;
	/** Names the session in logs. */
	sid: string;
	/** How the session stands. `suspended`: the access token has died and no other can be had just now; the user is still signed in. */
	condition: Condition;
}

/** What `refresh()` came to. */
export interface Renewed {
	/** Whether there is a new access token; without one the living one goes on. */
	renewed: boolean;
	generation: number;
	expiresAt: Date | null;
}

/** `event.locals.auth`: who sent this request. However often it is asked, the engine is asked once. */
export interface Auth {
	/**
	 * The session, or `null` for a stranger.
	 *
	 * Throws Kit's `error(503)` when nobody can say, because the gateway cannot be reached: that must never look like signed out.
	 */
	(): Promise<Session | null>;
	/**
	 * A live access token, for a call in the user's name. It belongs on the server alone.
	 *
	 * Throws Kit's `error(401)` for a stranger, and for somebody whom the provider wants to see again; `error(403)` for a session without a token;
	 * `error(503)` while the token has died and the provider cannot be reached for the next.
	 */
	accessToken(): Promise<string>;
	/** How fresh the session is; `null` for a stranger. */
	info(): Promise<SessionInfo | null>;
	/**
	 * Renews now although nothing is due, and hands out the newest generation; `null` for a stranger.
	 *
	 * Behind the gateway the application does not hold the session's cookie, so a form action is redirected to the gateway, which renews
	 * and sends the browser back; anywhere else there it throws.
	 */
	refresh(): Promise<Renewed | null>;
	/** Runs the engine's `jwt` callback with trigger `update` and this data; the session that comes of it. Not behind the gateway. */
	update(data: unknown): Promise<Session | null>;
}

declare global {
	namespace App {
		/** What the application's `session` callback adds to `DefaultSession`. */
		// eslint-disable-next-line @typescript-eslint/no-empty-object-type
		interface Session {}
		interface Locals {
			auth: Auth;
		}
	}
}
