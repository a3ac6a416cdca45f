// RFC 7517 · RFC 8037: the gateway's public keys, fetched when needed and kept.

import { createPublicKey, type KeyObject } from 'node:crypto';

import { EngineUnreachable } from './engine.js';
import { reach } from './gateway.js';

/** A key that is not known has the set fetched again, at most this often (milliseconds): a forger cannot make us ask for each request. */
const ASK_AGAIN = 5_000;

/** How long a set is good without being asked for again (milliseconds): a key that was taken out goes. */
const KEPT = 15 * 60_000;

/**
 * Looks keys up by their id in the set at `address`.
 *
 * The function throws `EngineUnreachable` when the set cannot be fetched and the key is not among those known from before.
 */
export function keySetAt(address: URL, clock: () => number = Date.now): (kid: string) => Promise<KeyObject | null> {
	let keys = new Map<string, KeyObject>();
	let asked = Number.NEGATIVE_INFINITY;
	let asking: Promise<void> | null = null;
	let failure: unknown = null;

	async function ask() {
		try {
			const response = await reach(address, { method: 'GET', headers: { accept: 'application/json' } });
			if (response.status !== 200) throw new EngineUnreachable(`${address.href} answered ${response.status}: set identity = "jwt" on the route.`);
			keys = read(await response.json());
			failure = null;
		} catch (error) {
			failure = error instanceof EngineUnreachable ? error : new EngineUnreachable(`${address.href} holds no key set.`, { cause: error });
		} finally {
			asking = null;
		}
	}

	return async (kid) => {
		const age = clock() - asked;
		if (asking === null && (age > KEPT || (!keys.has(kid) && age > ASK_AGAIN))) {
			asked = clock();
			asking = ask();
		}
		// A key that is known need not wait for the newer set.
		if (asking !== null && !keys.has(kid)) await asking;
		const key = keys.get(kid) ?? null;
		if (key === null && failure !== null) throw failure;
		return key;
	};
}

function read(body: unknown): Map<string, KeyObject> {
	const keys = new Map<string, KeyObject>();
	const listed = typeof body === 'object' && body !== null && 'keys' in body && Array.isArray(body.keys) ? (body.keys as unknown[]) : [];
	for (const jwk of listed) {
		if (!isEd25519(jwk)) continue;
		keys.set(jwk.kid, createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: 'jwk' }));
	}
	if (keys.size === 0) throw new Error('no Ed25519 key is in the set');
	return keys;
}

function isEd25519(jwk: unknown): jwk is { kty: 'OKP'; crv: 'Ed25519'; x: string; kid: string } {
	if (typeof jwk !== 'object' || jwk === null) return false;
	const { kty, crv, x, kid } = jwk as Record<string, unknown>;
	return kty === 'OKP' && crv === 'Ed25519' && typeof x === 'string' && typeof kid === 'string';
}
