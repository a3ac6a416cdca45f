// The application serves the browser and has the gateway behind it: `/auth/*` is passed on, and for each request the gateway is asked once who
// is there (`POST /auth/backend/session`).

import type { Condition, Session } from '../types.js';
import { type Engine, EngineUnreachable, type Entry, type Visitor } from './engine.js';
import { forward } from './forward.js';
import { basePath, originOf, postJson } from './gateway.js';

export interface BeforeGatewayOptions {
	/** Where this server reaches the gateway: `http://127.0.0.1:4200`. Browsers need not reach it. */
	gateway: string | URL;
	/** The gateway's `AUTH_BACKEND_SECRET`, of at least 32 bytes. */
	secret: string;
	/** The gateway's `base_path`. */
	authPath?: string;
	/** Whether to pass on the four `/api` routes of the SvelteKitAuth recipe, which the gateway serves with `compat_routes`. */
	compatRoutes?: boolean;
}

/** An engine for an application that browsers reach directly. */
export function beforeGateway(options: BeforeGatewayOptions): Engine {
	const gateway = originOf('gateway', options.gateway);
	const base = basePath(options.authPath ?? '/auth');
	if (new TextEncoder().encode(options.secret).length < 32) {
		throw new Error("secret must be the gateway's AUTH_BACKEND_SECRET, of at least 32 bytes");
	}
	const authorization = `Bearer ${options.secret}`;

	return {
		base,
		holdsCookies: true,
		mayBeSignedIn: (request) => SESSION_COOKIE.test(request.headers.get('cookie') ?? ''),
		async enter(request, { renew = false } = {}) {
			const address = new URL(`${base}/backend/session`, gateway);
			const { status, body, setCookies } = await postJson(address, request, { renew, visitor: askedFor(request) }, { authorization });
			if (status === 403) throw new EngineUnreachable('The gateway refused the backend secret: give both the same AUTH_BACKEND_SECRET.');
			if (status === 404) throw new EngineUnreachable('The gateway answers no backends: set AUTH_BACKEND_SECRET there, too.');
			if (status !== 200 || !isTold(body)) throw new EngineUnreachable(`The gateway answered ${status} when asked who is there.`);
			return { visitor: visitorOf(body), setCookies, renewed: 'renewed' in body && body.renewed } satisfies Entry;
		},
		serves: (pathname) =>
			pathname === base || pathname.startsWith(`${base}/`) || (options.compatRoutes === true && COMPAT_ROUTES.includes(pathname)),
		serve(request) {
			// What is for this server alone must not be reached through it.
			if (new URL(request.url).pathname.startsWith(`${base}/backend`)) {
				return Promise.resolve(Response.json({ error: 'unknown_endpoint', message: 'There is no such endpoint.' }, { status: 404 }));
			}
			return forward(gateway, request);
		},
		post: (request, path, fields) => postJson(new URL(`${base}${path}`, gateway), request, fields, { 'x-auth-return-redirect': '1' })
	};
}

/** What tells a person's request from a program's: only the former keeps a session from becoming idle. */
function askedFor({ method, headers }: Request): { method: string; headers: Record<string, string> } {
	const told = VISITOR_HEADERS.flatMap((name) => {
		const value = headers.get(name);
		return value === null ? [] : [[name, value] as const];
	});
	return { method, headers: Object.fromEntries(told) };
}

const VISITOR_HEADERS = ['accept', 'sec-fetch-dest', 'sec-fetch-mode', 'sec-purpose', 'upgrade', 'x-requested-with'];

/** What `POST /auth/backend/session` answers. */
type Told =
	| { state: 'stranger' }
	| {
			state: 'signed_in';
			condition: Condition;
			refusal?: string;
			session: Session | null;
			access_token?: string;
			expires_at: number | null;
			generation: number;
			provider: string;
			sid: string;
			retry_after?: number;
			renewed: boolean;
	  };

function isTold(body: unknown): body is Told {
	if (typeof body !== 'object' || body === null || !('state' in body)) return false;
	if (body.state === 'stranger') return true;
	return body.state === 'signed_in' && 'session' in body && 'generation' in body;
}

function visitorOf(told: Told): Visitor {
	if (told.state === 'stranger') return { state: 'stranger' };
	return {
		state: told.state,
		condition: told.condition,
		refusal: told.refusal ?? null,
		session: told.session,
		accessToken: told.access_token ?? null,
		expiresAt: told.expires_at === null ? null : new Date(told.expires_at * 1000),
		generation: told.generation,
		provider: told.provider,
		sid: told.sid,
		retryAfter: told.retry_after ?? null
	};
}

/** Either name of the cookie in either format, whole or in chunks. */
const SESSION_COOKIE = /(?:^|;\s*)(?:__Secure-)?(?:authjs|next-auth)\.session-token(?:\.\d+)?=/;

const COMPAT_ROUTES = ['/api/renew-token', '/api/trigger-renew-token', '/api/update-user-data', '/api/get-session-status'];
