// The hook with an engine that tells: one question for each request, one cookie, and nobody who looks signed out because of a fault.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EngineUnreachable, perennial, protect } from '../dist/index.js';

const ALICE = {
	state: 'signed_in',
	condition: 'fresh',
	refusal: null,
	session: { user: { name: 'Alice' }, expires: '2030' },
	accessToken: 'token',
	expiresAt: null,
	generation: 1,
	provider: 'oidc',
	sid: 'f00d',
	retryAfter: null
};

/** An engine that counts. */
function engine({ visitor = ALICE, fails = false, ...over } = {}) {
	let generation = 0;
	return {
		base: '/auth',
		holdsCookies: true,
		entered: [],
		posted: [],
		mayBeSignedIn: (request) => request.headers.has('cookie'),
		async enter(_, { renew = false } = {}) {
			this.entered.push(renew);
			await new Promise(setImmediate);
			if (fails) throw new EngineUnreachable('away');
			generation += 1;
			return { visitor: { ...visitor, generation }, setCookies: [`session=${generation}; Path=/`], renewed: renew };
		},
		serves: (path) => path.startsWith('/auth/'),
		serve: async () => new Response('endpoint'),
		async post(_, path, fields) {
			this.posted.push([path, fields]);
			return { status: 200, body: { url: 'https://id.example/authorize' }, setCookies: ['flow=1; Path=/'] };
		},
		...over
	};
}

function event(path = '/', { method = 'GET', headers = {}, route = path, body, ...over } = {}) {
	const url = new URL(path, 'http://localhost:5173');
	return {
		url,
		request: new Request(url, { method, headers, body }),
		route: { id: route },
		locals: {},
		isDataRequest: false,
		isRemoteRequest: false,
		isSubRequest: false,
		...over
	};
}

const SIGNED_IN = { cookie: 'authjs.session-token=x' };
const PAGE = { accept: 'text/html', 'sec-fetch-mode': 'navigate' };

test('hook, layout, page and what streams late ask once, and one cookie is set', async () => {
	const fake = engine();
	const request = event('/', { headers: SIGNED_IN });
	let late;
	const answer = await perennial({ engine: fake }).handle({
		event: request,
		async resolve({ locals }) {
			await Promise.all([locals.auth(), locals.auth(), locals.auth.info(), locals.auth.accessToken()]);
			late = new Promise(setImmediate).then(() => locals.auth.info());
			return new Response('page');
		}
	});
	assert.equal((await late).generation, 1);
	assert.deepEqual(fake.entered, [false]);
	assert.deepEqual(answer.headers.getSetCookie(), ['session=1; Path=/']);
	assert.equal(answer.headers.get('cache-control'), 'private, no-store');
});

test('the cookie is set although nobody asked, also on an answer whose headers cannot be changed', async () => {
	const fake = engine();
	const answer = await perennial({ engine: fake }).handle({
		event: event('/', { headers: SIGNED_IN }),
		resolve: async () => Response.redirect('http://localhost:5173/elsewhere')
	});
	assert.deepEqual([answer.status, answer.headers.getSetCookie()], [302, ['session=1; Path=/']]);
});

test('a stranger costs no question', async () => {
	const fake = engine();
	let session;
	const answer = await perennial({ engine: fake }).handle({
		event: event(),
		async resolve({ locals }) {
			session = await locals.auth();
			return new Response('page');
		}
	});
	assert.deepEqual([session, fake.entered, answer.headers.getSetCookie()], [null, [], []]);
});

test('an engine that hangs does not hold up a page that asks nothing', async (t) => {
	t.mock.timers.enable({ apis: ['setTimeout'] });
	const fake = engine({ enter: () => new Promise(() => {}) });
	const answering = perennial({ engine: fake }).handle({ event: event('/', { headers: SIGNED_IN }), resolve: async () => new Response('page') });
	for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
	t.mock.timers.tick(1_000);
	assert.equal(await (await answering).text(), 'page');
});

test('a request within a request is part of it', async () => {
	const fake = engine();
	const { handle } = perennial({ engine: fake });
	let inner;
	const answer = await handle({
		event: event('/', { headers: SIGNED_IN }),
		async resolve({ locals }) {
			await locals.auth();
			inner = await handle({
				event: event('/inner', { headers: SIGNED_IN, isSubRequest: true }),
				resolve: async ({ locals: own }) => Response.json(await own.auth())
			});
			return new Response('page');
		}
	});
	assert.deepEqual(await inner.json(), ALICE.session);
	assert.deepEqual(inner.headers.getSetCookie(), [], 'only the outer one sets cookies');
	assert.deepEqual([fake.entered, answer.headers.getSetCookie().length], [[false], 1]);
});

test('a request within that leaves its cookies out is a stranger', async () => {
	const { handle } = perennial({ engine: engine() });
	let told;
	await handle({
		event: event('/', { headers: SIGNED_IN }),
		async resolve() {
			await handle({
				event: event('/inner', { isSubRequest: true }),
				async resolve({ locals }) {
					told = await locals.auth();
					return new Response();
				}
			});
			return new Response();
		}
	});
	assert.equal(told, null);
});

test('refresh renews, and whoever asks afterwards sees it', async () => {
	const fake = engine();
	const answer = await perennial({ engine: fake }).handle({
		event: event('/', { headers: SIGNED_IN }),
		async resolve({ locals }) {
			await locals.auth();
			const told = await locals.auth.refresh();
			return Response.json([told.renewed, told.generation, (await locals.auth.info()).generation]);
		}
	});
	assert.deepEqual(await answer.json(), [true, 2, 2]);
	assert.deepEqual(fake.entered, [false, true]);
	assert.deepEqual(answer.headers.getSetCookie(), ['session=2; Path=/'], 'the last one of a name');
});

test('when nobody can say, it is 503 and not a stranger', async (t) => {
	t.mock.method(console, 'error', () => {});
	const { handle } = perennial({ engine: engine({ fails: true }) });
	for (const ask of [(auth) => auth(), (auth) => auth.info(), (auth) => auth.accessToken(), (auth) => auth.refresh(), () => protect()]) {
		await handle({
			event: event('/', { headers: SIGNED_IN }),
			async resolve({ locals }) {
				await assert.rejects(ask(locals.auth), { status: 503 });
				return new Response();
			}
		});
	}
	const page = await handle({ event: event('/', { headers: SIGNED_IN }), resolve: async () => new Response('page') });
	assert.equal(await page.text(), 'page', 'a page that does not ask is served');
});

test('an access token, or the reason why there is none', async () => {
	for (const [visitor, headers, expected] of [
		[ALICE, {}, { status: 401 }],
		[{ ...ALICE, accessToken: null, refusal: 'no_access_token' }, SIGNED_IN, { status: 403 }],
		[{ ...ALICE, accessToken: null, refusal: 'reauthentication_required' }, SIGNED_IN, { status: 401 }],
		[{ ...ALICE, accessToken: null, refusal: 'renewal_suspended' }, SIGNED_IN, { status: 503 }]
	]) {
		await perennial({ engine: engine({ visitor }) }).handle({
			event: event('/', { headers }),
			async resolve({ locals }) {
				await assert.rejects(locals.auth.accessToken(), expected);
				return new Response();
			}
		});
	}
});

test('guarded routes: pages are sent to sign in, programs are told, members pass', async () => {
	const options = { protect: ['/(members)', '/account/'], signInPage: '/login' };
	const cases = [
		['/x', '/(members)/x', PAGE, 303],
		['/x', '/(members)/x', { accept: 'application/json' }, 401],
		['/x', '/(members)/x', { accept: 'text/html', 'sec-fetch-mode': 'cors' }, 401],
		['/x', '/(members)/x', { ...PAGE, ...SIGNED_IN }, 200],
		['/account', '/account', PAGE, 303],
		['/accountant', '/accountant', PAGE, 200],
		['/', '/', PAGE, 200],
		['/nowhere', null, PAGE, 200]
	];
	for (const [path, route, headers, status] of cases) {
		const answer = await perennial({ engine: engine(), ...options }).handle({ event: event(path, { headers, route }), resolve: async () => new Response() });
		assert.equal(answer.status, status, `${path} ${JSON.stringify(headers)}`);
		if (status === 303) assert.equal(answer.headers.get('location'), `/login?callbackUrl=${encodeURIComponent(path)}`);
	}
});

test('with one provider a page load goes straight there, with the cookie of the sign-in', async () => {
	const fake = engine();
	const answer = await perennial({ engine: fake, provider: 'oidc', protect: ['/account'] }).handle({
		event: event('/account?tab=2', { headers: PAGE, route: '/account' }),
		resolve: async () => new Response()
	});
	assert.deepEqual([answer.status, answer.headers.get('location')], [303, 'https://id.example/authorize']);
	assert.deepEqual(answer.headers.getSetCookie(), ['flow=1; Path=/']);
	assert.deepEqual(fake.posted, [['/signin/oidc', { callbackUrl: '/account?tab=2' }]]);
});

test('a client-side navigation is sent to the page, which can set a cookie', async () => {
	const fake = engine();
	const asking = perennial({ engine: fake, provider: 'oidc', protect: ['/account'] }).handle({
		event: event('/account', { headers: { 'sec-fetch-mode': 'cors' }, isDataRequest: true }),
		resolve: async () => new Response()
	});
	await assert.rejects(asking, { status: 303, location: '/auth/signin?callbackUrl=%2Faccount' });
	assert.deepEqual(fake.posted, []);
});

test('protect() in a remote function goes by the session and not by the page that the caller names', async () => {
	const { handle } = perennial({ engine: engine(), protect: ['/account'] });
	await handle({
		event: event('/_app/remote/x', { isRemoteRequest: true, route: '/account' }),
		async resolve() {
			await assert.rejects(protect(), { status: 401 });
			return new Response();
		}
	});
	await handle({
		event: event('/_app/remote/x', { isRemoteRequest: true, route: null, headers: SIGNED_IN }),
		async resolve() {
			assert.deepEqual(await protect(), ALICE.session);
			return new Response();
		}
	});
	await assert.rejects(protect(), /outside a request/);
});

test('a remote function cannot reach an endpoint by the page it names', async () => {
	const remote = event('/_app/remote/x', { isRemoteRequest: true });
	remote.url = new URL('/auth/session', remote.url);
	const answer = await perennial({ engine: engine() }).handle({ event: remote, resolve: async () => new Response('remote') });
	assert.equal(await answer.text(), 'remote');
});

test('the actions sign in, with the parameters that were given, and out', async () => {
	const fake = engine();
	const { handle, signIn, signOut } = perennial({ engine: fake, signInPage: '/login' });
	const act = async (action, fields) => {
		const posted = event('/login', { method: 'POST', headers: { ...SIGNED_IN, ...PAGE }, body: new URLSearchParams(fields) });
		let thrown;
		const answer = await handle({
			event: posted,
			async resolve() {
				await action(posted).catch((error) => (thrown = error));
				return new Response();
			}
		});
		return [thrown.status, thrown.location, answer.headers.getSetCookie()];
	};
	assert.deepEqual(await act(signIn, { providerId: 'oidc', redirectTo: '/account', 'authorizationParams-login_hint': 'alice' }), [
		303,
		'https://id.example/authorize',
		['flow=1; Path=/', 'session=1; Path=/']
	]);
	assert.deepEqual(fake.posted, [['/signin/oidc', { login_hint: 'alice', callbackUrl: '/account' }]]);
	assert.deepEqual((await act(signIn, { redirectTo: '/account' })).slice(0, 2), [303, '/login?callbackUrl=%2Faccount']);
	assert.deepEqual((await act(signOut, {})).slice(0, 2), [303, 'https://id.example/authorize']);
	assert.deepEqual(fake.posted.at(-1), ['/signout', { callbackUrl: '/' }]);
});

test('a sign-out is not undone by an answer about the session that comes later', async () => {
	let answered;
	const late = new Promise((resolve) => (answered = resolve));
	const fake = engine({
		enter: () => late,
		post: async () => ({ status: 200, body: { url: 'http://localhost:5173/' }, setCookies: ['session=; Max-Age=0'] })
	});
	const { handle, signOut } = perennial({ engine: fake });
	const posted = event('/logout', { method: 'POST', headers: SIGNED_IN, body: new URLSearchParams({}) });
	const answer = await handle({
		event: posted,
		async resolve() {
			await assert.rejects(Promise.resolve(signOut(posted)), { status: 303 });
			answered({ visitor: ALICE, setCookies: ['session=2; Path=/'], renewed: true });
			await new Promise(setImmediate);
			return new Response();
		}
	});
	assert.deepEqual(answer.headers.getSetCookie(), ['session=; Max-Age=0']);
});

test('behind the gateway the browser posts again, to the gateway', async () => {
	const { handle, signOut, refresh } = perennial({ engine: engine({ holdsCookies: false }) });
	for (const [action, location] of [
		[signOut, '/auth/signout'],
		[refresh, '/auth/refresh']
	]) {
		const posted = event('/account', { method: 'POST', headers: SIGNED_IN, body: new URLSearchParams({}) });
		await handle({
			event: posted,
			async resolve() {
				await assert.rejects(Promise.resolve(action(posted)), { status: 307, location });
				return new Response();
			}
		});
	}
});

test('an engine that is made by a function is made when the server starts', () => {
	let made = 0;
	const { init } = perennial({
		engine: () => {
			made += 1;
			return engine();
		}
	});
	assert.equal(made, 0);
	init();
	init();
	assert.equal(made, 1);
});
