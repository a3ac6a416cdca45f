// What the gateway signed is believed for one request, and nothing else is.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SeenOnce } from '../dist/engine/seen-once.js';
import { StatementRefused, verify } from '../dist/engine/statement.js';
import { AUDIENCE, gateway, goodClaims, ISSUER, NOW, statement, stranger, TOKEN } from './support/statements.mjs';

const request = (path = '/account', { method = 'GET', token = TOKEN } = {}) =>
	new Request(`http://localhost:5173${path}`, { method, headers: token === null ? {} : { authorization: `Bearer ${token}` } });

const expected = (over = {}) => ({
	issuer: ISSUER,
	audience: AUDIENCE,
	request: request(),
	keys: async (kid) => (kid === 'k1' ? gateway.publicKey : null),
	seen: new SeenOnce(),
	now: NOW * 1000,
	...over
});

test('a good statement says who is there, with the token that came along', async () => {
	assert.deepEqual(await verify(statement(), expected()), {
		state: 'signed_in',
		condition: 'fresh',
		refusal: null,
		session: goodClaims.session,
		accessToken: TOKEN,
		expiresAt: new Date((NOW + 300) * 1000),
		generation: 7,
		provider: 'oidc',
		sid: 'f00d',
		retryAfter: null
	});
});

test('an outage is told', async () => {
	const said = await verify(statement({ claims: { condition: 'suspended', refusal: 'renewal_suspended', retry_after: 4, ath: undefined } }), expected());
	assert.deepEqual([said.condition, said.refusal, said.accessToken, said.retryAfter], ['suspended', 'renewal_suspended', null, 4]);
});

test('a token without a word on it in the statement is not handed on', async () => {
	const said = await verify(statement({ claims: { ath: undefined } }), expected());
	assert.equal(said.accessToken, null);
});

for (const [why, made, over = {}] of [
	['another key', statement({ key: stranger.privateKey })],
	['an unknown key id', statement({ header: { kid: 'k2' } })],
	['no algorithm', statement({ header: { alg: 'none' } })],
	['an HMAC', statement({ header: { alg: 'HS256' } })],
	['another type of JWT', statement({ header: { typ: 'at+jwt' } })],
	['no type', statement({ header: { typ: undefined } })],
	['no statement', 'nonsense'],
	['too many parts', `${statement()}.x`],
	['an empty signature', statement().replace(/[^.]*$/, '')],
	['another issuer', statement({ claims: { iss: 'https://evil.example' } })],
	['another audience', statement({ claims: { aud: 'http://127.0.0.1:3001' } })],
	['a list of audiences', statement({ claims: { aud: [AUDIENCE] } })],
	['another method', statement({ claims: { htm: 'POST' } })],
	['another path', statement({ claims: { htu: `${AUDIENCE}/admin` } })],
	['a path below', statement({ claims: { htu: `${AUDIENCE}/account/x` } })],
	['no path', statement({ claims: { htu: undefined } })],
	['another access token', statement(), { request: request('/account', { token: 'another' }) }],
	['no access token', statement(), { request: request('/account', { token: null }) }],
	['an old statement', statement(), { now: (NOW + 36) * 1000 }],
	['one from the future', statement({ claims: { iat: NOW + 6, exp: NOW + 36 } })],
	['one that lives for an hour', statement({ claims: { exp: NOW + 3_600 } })],
	['no expiry', statement({ claims: { exp: undefined } })],
	['no name', statement({ claims: { jti: undefined } })]
]) {
	test(`refused: ${why}`, async () => {
		await assert.rejects(verify(made, expected(over)), StatementRefused);
	});
}

test('clocks may be five seconds apart, both ways', async () => {
	for (const now of [NOW - 5, NOW + 34]) await verify(statement(), expected({ now: now * 1000 }));
});

test('a statement is good once, and a refused one does not use it up', async () => {
	const same = expected();
	await assert.rejects(verify(statement(), { ...same, request: request('/elsewhere') }), StatementRefused);
	await verify(statement(), same);
	await assert.rejects(verify(statement(), same), /used before/);
	await verify(statement({ claims: { jti: 'two' } }), same);
});

test('an odd path is the same path to both', async () => {
	const odd = "/a%20b/é/'x'";
	await verify(statement({ claims: { htu: `${AUDIENCE}${odd}` } }), expected({ request: request(`${odd}?q=1`) }));
});

test('what was used is forgotten when it has expired', () => {
	const seen = new SeenOnce();
	assert.equal(seen.add('a', 10, 0), true);
	assert.equal(seen.add('b', 11, 0), true);
	assert.equal(seen.add('a', 10, 9), false);
	assert.equal(seen.size, 2);
	assert.equal(seen.add('c', 20, 12), true);
	assert.equal(seen.size, 1);
});

test('what was used takes up bounded room', () => {
	const seen = new SeenOnce();
	for (let index = 0; index < 200_010; index += 1) seen.add(`${index}`, 100, 0);
	assert.equal(seen.size, 200_000);
	assert.equal(seen.add('200009', 100, 0), false, 'the newest are remembered');
});
