// Keys are fetched when they are needed, once, and a forger cannot make us fetch.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EngineUnreachable } from '../dist/index.js';
import { keySetAt } from '../dist/engine/key-set.js';
import { json, nobody, serve } from './support/server.mjs';
import { gateway, stranger } from './support/statements.mjs';

const jwk = (kid, { publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'EdDSA' });
const MINUTE = 60_000;

test('one fetch serves all who ask at once, and later ones', async (t) => {
	const { url, seen } = await serve(t, (_, response) => json(response, 200, { keys: [jwk('k1', gateway)] }));
	const keys = keySetAt(new URL(`${url}/auth/identity/jwks`), () => 0);
	const found = await Promise.all(Array.from({ length: 20 }, () => keys('k1')));
	assert.ok(found.every((key) => key !== null));
	await keys('k1');
	assert.deepEqual(seen.map((one) => one.url), ['/auth/identity/jwks']);
});

test('an unknown key has the set fetched again, but not for each request', async (t) => {
	let set = [jwk('k1', gateway)];
	let now = 0;
	const { url, seen } = await serve(t, (_, response) => json(response, 200, { keys: set }));
	const keys = keySetAt(new URL(url), () => now);
	await keys('k1');
	for (let index = 0; index < 50; index += 1) assert.equal(await keys(`forged-${index}`), null);
	assert.equal(seen.length, 1);
	set = [jwk('k2', stranger), ...set];
	now += 5_001;
	assert.ok(await keys('k2'));
	assert.equal(seen.length, 2);
});

test('a key that was taken out goes, and one that is known survives an outage', async (t) => {
	let answer = (response) => json(response, 200, { keys: [jwk('k1', gateway)] });
	let now = 0;
	const { url, seen } = await serve(t, (_, response) => answer(response));
	const keys = keySetAt(new URL(url), () => now);
	await keys('k1');
	answer = (response) => json(response, 500, {});
	now += 16 * MINUTE;
	assert.ok(await keys('k1'));
	answer = (response) => json(response, 200, { keys: [jwk('k2', stranger)] });
	now += 16 * MINUTE;
	assert.ok(await keys('k1'), 'nobody waits for the newer set');
	await keys('k2');
	assert.equal(await keys('k1'), null);
	assert.equal(seen.length, 3);
});

test('without a key set nobody can say, and that is no forgery', async (t) => {
	const away = keySetAt(new URL(await nobody(t)));
	await assert.rejects(away('k1'), EngineUnreachable);
	for (const set of [{}, { keys: [] }, { keys: [{ kty: 'RSA', kid: 'k1' }] }, [], null]) {
		const { url } = await serve(t, (_, response) => json(response, 200, set));
		await assert.rejects(keySetAt(new URL(url))('k1'), EngineUnreachable, JSON.stringify(set));
	}
});
