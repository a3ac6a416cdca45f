// The application lies behind the gateway, on a route with `identity = "jwt"`: each request brings a signed statement of who is there.

import { type Engine, EngineUnreachable, type Entry } from './engine.js';
import { basePath, originOf, postJson } from './gateway.js';
import { keySetAt } from './key-set.js';
import { SeenOnce } from './seen-once.js';
import { HEADER, StatementRefused, verify } from './statement.js';

export interface BehindGatewayOptions {
	/** The gateway's public URL, which signs as the statements' issuer: `https://app.example`. */
	issuer: string | URL;
	/** This application's address as the gateway's route names it in `upstream`, without a path: `http://127.0.0.1:3000`. */
	audience: string | URL;
	/** Where this server reaches the gateway; `issuer` unless said otherwise. */
	gateway?: string | URL;
	/** The gateway's `base_path`. */
	authPath?: string;
}

/** An engine for an application that only the gateway reaches. */
export function behindGateway(options: BehindGatewayOptions): Engine {
	const issuer = originOf('issuer', options.issuer).origin;
	const audience = originOf('audience', options.audience).origin;
	const gateway = originOf('gateway', options.gateway ?? options.issuer);
	const base = basePath(options.authPath ?? '/auth');
	const keys = keySetAt(new URL(`${base}/identity/jwks`, gateway));
	const seen = new SeenOnce();
	const stranger: Entry = { visitor: { state: 'stranger' }, setCookies: [], renewed: false };

	return {
		base,
		holdsCookies: false,
		mayBeSignedIn: (request) => request.headers.has(HEADER),
		async enter(request) {
			const statement = request.headers.get(HEADER);
			if (statement === null) return stranger;
			try {
				const visitor = await verify(statement, { issuer, audience, request, keys, seen, now: Date.now() });
				return { ...stranger, visitor };
			} catch (error) {
				if (!(error instanceof StatementRefused)) throw error;
				// Whoever forges is nobody.
				console.warn(`A statement on who sent ${request.method} ${new URL(request.url).pathname} was refused: ${error.message}`);
				return stranger;
			}
		},
		serves: () => false,
		serve: () => Promise.reject(new EngineUnreachable('Behind the gateway its endpoints are its own.')),
		post: (request, path, fields) => postJson(new URL(`${base}${path}`, gateway), request, fields, { 'x-auth-return-redirect': '1' })
	};
}
