// RFC 7515 · RFC 7519 · RFC 9449 §4.3: whether a statement is the gateway's, and about this very request.

import { createHash, verify as verifySignature, type KeyObject } from 'node:crypto';

import type { Condition, Session } from '../types.js';
import type { SignedIn } from './engine.js';
import type { SeenOnce } from './seen-once.js';

/** The header that carries it. */
export const HEADER = 'x-perennial-identity';

/** How far the clocks of gateway and application may be apart, in seconds. */
const SKEW = 5;

/** The longest life that is believed, in seconds: the gateway gives 30. */
const LIFETIME_MAX = 60;

/** It is forged, was meant for another request, or has been used. Nothing in it is to be believed. */
export class StatementRefused extends Error {
	override name = 'StatementRefused';
}

export interface Expected {
	issuer: string;
	audience: string;
	request: Request;
	/** The key of that id, if there is one. */
	keys: (kid: string) => Promise<KeyObject | null>;
	seen: SeenOnce;
	/** Milliseconds since 1970. */
	now: number;
}

/**
 * Who sent `expected.request`, as the statement says.
 *
 * Throws `StatementRefused`; and `EngineUnreachable` when the keys cannot be fetched, for then nobody can say.
 */
export async function verify(statement: string, expected: Expected): Promise<SignedIn> {
	const [header, claims, signature, ...more] = statement.split('.');
	if (header === undefined || claims === undefined || signature === undefined || more.length > 0) refuse('it is no JWS');
	const { alg, typ, kid } = decoded(header);
	if (alg !== 'EdDSA' || typ !== 'perennial-identity+jwt' || typeof kid !== 'string') refuse('it is of another kind');
	const key = await expected.keys(kid);
	if (key === null) refuse('its key is not published');
	if (!verifySignature(null, Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'))) refuse('its signature is wrong');
	const said = decoded(claims);
	checkTimes(said, expected.now / 1000);
	checkBinding(said, expected);
	const accessToken = checkToken(said, expected.request);
	// Last, so that only what is good otherwise is remembered.
	if (!expected.seen.add(text(said, 'jti'), number(said, 'exp') + SKEW, expected.now / 1000)) refuse('it has been used before');
	return {
		state: 'signed_in',
		condition: text(said, 'condition') as Condition,
		refusal: typeof said.refusal === 'string' ? said.refusal : null,
		session: (said.session ?? null) as Session | null,
		accessToken,
		expiresAt: said.expires_at === null ? null : new Date(number(said, 'expires_at') * 1000),
		generation: number(said, 'generation'),
		provider: text(said, 'provider'),
		sid: text(said, 'sid'),
		retryAfter: said.retry_after === undefined ? null : number(said, 'retry_after')
	};
}

type Claims = Record<string, unknown>;

function checkTimes(said: Claims, now: number) {
	const [issued, expires] = [number(said, 'iat'), number(said, 'exp')];
	if (now >= expires + SKEW) refuse('it has expired');
	if (issued > now + SKEW) refuse('it is from the future: set the clocks');
	if (expires - issued > LIFETIME_MAX) refuse('it lives too long');
}

function checkBinding(said: Claims, { issuer, audience, request }: Expected) {
	if (said.iss !== issuer) refuse(`it was issued by ${String(said.iss)}, not by ${issuer}`);
	if (said.aud !== audience) refuse(`it is for ${String(said.aud)}, not for ${audience}`);
	if (said.htm !== request.method) refuse('it is about another method');
	const target = text(said, 'htu');
	// Both are read by the same parser, which may spell an odd path in another way.
	if (!URL.canParse(target) || new URL(target).pathname !== new URL(request.url).pathname) refuse('it is about another path');
}

/** The access token that came along. One that the statement does not know was put in by somebody else. */
function checkToken(said: Claims, request: Request): string | null {
	if (said.ath === undefined) return null;
	const token = /^Bearer (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1];
	if (token === undefined || createHash('sha256').update(token).digest('base64url') !== said.ath) refuse('the access token is not the one it names');
	return token;
}

function decoded(part: string): Claims {
	try {
		const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
		if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Claims;
	} catch {
		// Refused below.
	}
	return refuse('it cannot be read');
}

function text(said: Claims, name: string): string {
	const value = said[name];
	return typeof value === 'string' ? value : refuse(`${name} is missing`);
}

function number(said: Claims, name: string): number {
	const value = said[name];
	return typeof value === 'number' && Number.isFinite(value) ? value : refuse(`${name} is missing`);
}

function refuse(why: string): never {
	throw new StatementRefused(why);
}
