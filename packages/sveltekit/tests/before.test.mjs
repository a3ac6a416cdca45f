// The gateway behind the application: what is asked of it, what is passed on, and what its silence means.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { beforeGateway, EngineUnreachable } from '../dist/index.js';
import { json, nobody, serve } from './support/server.mjs';

const SECRET = 'planted-backend-secret-of-32-bytes';
const COOKIE = 'authjs.session-token=x';
const visitor = (path = '/', init = {}) => new Request(`http://localhost:5173${path}`, { ...init, headers: { cookie: COOKIE, ...init.headers } });

const told = {
	state: 'signed_in',
	condition: 'fresh',
	session: { user: { name: 'Alice' }, expires: '2030' },
	sid: 'f00d',
	provider: 'oidc',
	generation: 3,
	expires_at: 1_800_000_000,
	access_token: 'token',
	renewed: true
};

test('one question with the secret and the cookies, and nothing of a browser', async (t) => {
	const setCookie = ['authjs.session-token=y; Path=/; HttpOnly', 'other=z'];
	const { url, seen } = await serve(t, (_, response) => json(response, 200, told, { 'set-cookie': setCookie }));
	const engine = beforeGateway({ gateway: url, secret: SECRET });
	const asked = { origin: 'http://localhost:5173', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' };
	const entry = await engine.enter(visitor('/x', { headers: asked }), { renew: true });
	assert.deepEqual(entry.setCookies, setCookie);
	assert.equal(entry.renewed, true);
	assert.deepEqual([entry.visitor.accessToken, entry.visitor.expiresAt], ['token', new Date(1_800_000_000_000)]);
	const [{ method, url: path, headers, body }] = seen;
	assert.deepEqual([method, path], ['POST', '/auth/backend/session']);
	// Whom the visitor's request speaks for, so that polling does not keep the session from becoming idle.
	assert.deepEqual(JSON.parse(body), { renew: true, visitor: { method: 'GET', headers: { 'sec-fetch-mode': 'navigate' } } });
	assert.deepEqual([headers.authorization, headers.cookie, headers.origin], [`Bearer ${SECRET}`, COOKIE, undefined]);
	assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith('sec-')), []);
});

test('whatever is no answer is no answer, and never a stranger', async (t) => {
	const cases = [
		['refuses the secret', (response) => json(response, 403, {}), /AUTH_BACKEND_SECRET/],
		['knows no backends', (response) => json(response, 404, {}), /AUTH_BACKEND_SECRET/],
		['fails', (response) => json(response, 500, {}), /500/],
		['is somebody else', (response) => response.end('<html>'), /200/],
		['says null', (response) => json(response, 200, null), /200/],
		['says half of it', (response) => json(response, 200, { state: 'signed_in' }), /200/],
		['redirects', (response) => response.writeHead(302, { location: '/' }).end(), /302/],
		['hangs up', (response) => response.destroy(), /no answer/],
		['breaks off', (response) => response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy()), /broke off/]
	];
	for (const [what, answer, sentence] of cases) {
		const { url } = await serve(t, (_, response) => answer(response));
		await assert.rejects(
			beforeGateway({ gateway: url, secret: SECRET }).enter(visitor()),
			(error) => error instanceof EngineUnreachable && sentence.test(error.message) && !error.message.includes(SECRET),
			what
		);
	}
	await assert.rejects(beforeGateway({ gateway: await nobody(t), secret: SECRET }).enter(visitor()), EngineUnreachable);
});

test('only a session cookie is worth a question', () => {
	const engine = beforeGateway({ gateway: 'http://127.0.0.1:1', secret: SECRET });
	for (const [cookie, expected] of [
		['authjs.session-token=x', true],
		['a=b; __Secure-authjs.session-token=x', true],
		['authjs.session-token.0=x; authjs.session-token.1=y', true],
		['a=b;authjs.session-token=x', true],
		['authjs.session-token-foo=x', false],
		['my-authjs.session-token=x', false],
		['a=authjs.session-token=x', false],
		['authjs.csrf-token=x', false]
	]) {
		assert.equal(engine.mayBeSignedIn(visitor('/', { headers: { cookie } })), expected, cookie);
	}
});

test('an endpoint is passed on whole, without what could mislead the gateway', async (t) => {
	const { url, seen } = await serve(t, (_, response) => response.writeHead(302, { location: 'https://id.example/', 'set-cookie': ['a=1', 'b=2'], 'keep-alive': 'x' }).end('body'));
	const engine = beforeGateway({ gateway: url, secret: SECRET });
	const headers = {
		origin: 'http://localhost:5173',
		'sec-fetch-mode': 'navigate',
		'sec-fetch-site': 'same-origin',
		'content-type': 'application/x-www-form-urlencoded',
		authorization: 'Bearer browser',
		'x-forwarded-for': '10.0.0.1',
		'x-perennial-identity': 'forged',
		forwarded: 'for=x'
	};
	const answer = await engine.serve(visitor('/auth/signin/oidc?a=b', { method: 'POST', headers, body: 'callbackUrl=%2F' }));
	assert.deepEqual([answer.status, answer.headers.get('location'), await answer.text()], [302, 'https://id.example/', 'body']);
	assert.deepEqual(answer.headers.getSetCookie(), ['a=1', 'b=2']);
	const [one] = seen;
	assert.deepEqual([one.method, one.url, one.body], ['POST', '/auth/signin/oidc?a=b', 'callbackUrl=%2F']);
	assert.deepEqual([one.headers['sec-fetch-mode'], one.headers.origin, one.headers.cookie], ['navigate', headers.origin, COOKIE]);
	for (const name of ['authorization', 'x-forwarded-for', 'x-perennial-identity', 'forwarded']) assert.equal(one.headers[name], undefined, name);
});

test('the backend endpoint is not reached through the application', async (t) => {
	const { url, seen } = await serve(t, (_, response) => json(response, 200, told));
	const engine = beforeGateway({ gateway: url, secret: SECRET });
	for (const path of ['/auth/backend/session', '/auth/backend', '/auth/x/../backend/session']) {
		assert.equal((await engine.serve(visitor(path, { method: 'POST' }))).status, 404, path);
	}
	assert.equal(seen.length, 0);
});

test('a gateway that is away is 503 with patience', async (t) => {
	t.mock.method(console, 'error', () => {});
	const answer = await beforeGateway({ gateway: await nobody(t), secret: SECRET }).serve(visitor('/auth/session'));
	assert.deepEqual([answer.status, (await answer.json()).error, answer.headers.get('retry-after')], [503, 'gateway_unreachable', '2']);
});

test('answers without a body stay without one', async (t) => {
	const { url } = await serve(t, (_, response) => response.writeHead(304).end());
	assert.equal((await beforeGateway({ gateway: url, secret: SECRET }).serve(visitor('/auth/style.css'))).status, 304);
});

test('which paths are endpoints', () => {
	const engine = (options) => beforeGateway({ gateway: 'http://127.0.0.1:1', secret: SECRET, ...options });
	for (const [options, path, expected] of [
		[{}, '/auth', true],
		[{}, '/auth/session', true],
		[{}, '/authors', false],
		[{}, '/api/renew-token', false],
		[{ compatRoutes: true }, '/api/renew-token', true],
		[{ compatRoutes: true }, '/api/renew-token/x', false],
		[{ authPath: '/api/auth' }, '/api/auth/session', true],
		[{ authPath: '/api/auth' }, '/auth/session', false]
	]) {
		assert.equal(engine(options).serves(path), expected, `${path} ${JSON.stringify(options)}`);
	}
});

test('a wrong configuration is told at once, without the secret', () => {
	for (const [options, name] of [
		[{ gateway: '127.0.0.1:4200', secret: SECRET }, /gateway/],
		[{ gateway: 'http://127.0.0.1:4200/auth', secret: SECRET }, /gateway/],
		[{ gateway: 'http://127.0.0.1:4200', secret: 'planted-short' }, /AUTH_BACKEND_SECRET/],
		[{ gateway: 'http://127.0.0.1:4200', secret: SECRET, authPath: 'auth/' }, /authPath/]
	]) {
		assert.throws(() => beforeGateway(options), (error) => name.test(error.message) && !error.message.includes('planted'));
	}
});
