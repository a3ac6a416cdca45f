// The seam: what the rest of the package needs of whatever keeps the sessions.

import type { Condition, Session } from '../types.js';

/** Nobody is signed in. */
export interface Stranger {
	state: 'stranger';
}

/** Somebody is signed in, perhaps without a live access token for the moment. */
export interface SignedIn {
	state: 'signed_in';
	condition: Condition;
	/** As the browser may see it; `null` if the engine's `session` callback hides it. */
	session: Session | null;
	accessToken: string | null;
	/** Where there is none, the engine's code that says why, such as `renewal_suspended`. */
	refusal: string | null;
	expiresAt: Date | null;
	generation: number;
	provider: string;
	sid: string;
	/** Seconds after which to ask again for a token, if that helps. */
	retryAfter: number | null;
}

export type Visitor = Stranger | SignedIn;

/** What the engine makes of one request. */
export interface Entry {
	visitor: Visitor;
	/** `Set-Cookie` lines for the answer. */
	setCookies: string[];
	/** Whether this very request saw a renewal. */
	renewed: boolean;
}

/** What an endpoint answered to a request made in the visitor's name. */
export interface Answer {
	status: number;
	/** JSON, or `null` if it was none. */
	body: unknown;
	setCookies: string[];
}

/** Keeps the sessions. `beforeGateway` and `behindGateway` are two; one that lives in this process can be a third. */
export interface Engine {
	/** Where the endpoints lie: `/auth`. */
	readonly base: string;
	/** Whether the visitor's session cookie reaches this application, so that it can act for the session. */
	readonly holdsCookies: boolean;
	/** Whether a request can belong to a session at all; if not, nobody has to be asked. */
	mayBeSignedIn(request: Request): boolean;
	/**
	 * Who sent this request; with `renew`, after a renewal on demand.
	 *
	 * Throws `EngineUnreachable` when nobody can say.
	 */
	enter(request: Request, options?: { renew?: boolean }): Promise<Entry>;
	/** Whether a path is one of the engine's endpoints, which `serve` answers. */
	serves(pathname: string): boolean;
	serve(request: Request): Promise<Response>;
	/**
	 * Posts to an endpoint in the visitor's name, as a program and not as a browser.
	 *
	 * Throws `EngineUnreachable`.
	 */
	post(request: Request, path: string, fields: Record<string, unknown>): Promise<Answer>;
}

/** The engine gave no answer, or one that makes no sense: nothing is known about the visitor. */
export class EngineUnreachable extends Error {
	override name = 'EngineUnreachable';

	constructor(message: string, options?: ErrorOptions) {
		super(message, options);
	}
}
