// Everything that may arrive and should not: each is refused with a stable code, and the honest user's session survives each.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { sendRaw } from '../support/http.mjs'
import { GatewaySubject, UNHARMED, open } from '../support/subjects.mjs'
import { Visitor } from '../support/visitor.mjs'

const SESSION = 'authjs.session-token'
const EVIL = 'https://evil.example'
const CROSS_SITE = { origin: EVIL, 'sec-fetch-site': 'cross-site' }

let scene
let honest
const endings = []

before(async () => {
  scene = await open({ name: 'endpoints', after: (end) => endings.unshift(end) }, GatewaySubject, {
    accessTokenLifetime: 3_600,
    extra: ['--compat-routes'],
  })
  honest = await scene.signedIn()
})
after(async () => {
  for (const end of endings) await end()
})

/** The cookies that the honest browser sends, with others around them. */
const cookiesWith = async (...others) => [...others, await honest.jar.getCookieString(scene.url)].join('; ')
const csrf = async (visitor) => (await visitor.fetch('/auth/csrf')).json().csrfToken
const port = () => Number(new URL(scene.url).port)
const host = () => `Host: 127.0.0.1:${port()}`
const raw = (lines, body = '') => sendRaw(port(), `${lines.join('\r\n')}\r\n\r\n${body}`)
/** An address byte for byte, where a client would tidy it up first. */
const rawGet = (address, accept = 'application/json') => raw([`GET ${address} HTTP/1.1`, host(), `Accept: ${accept}`, 'Connection: close'])

/** What must hold after anything: the honest user is signed in, with the same token, and the provider was not bothered. */
async function assertUnharmed() {
  const session = await honest.fetch('/auth/session')
  assert.equal(session.json()?.user?.email, 'alice@example.com', `the honest session is gone: ${session.text}`)
  assert.equal((await scene.whoami(honest)).json().sub, 'alice')
  assert.equal(scene.provider.redemptions, 0, 'nothing here may redeem the refresh token')
  assert.deepEqual(scene.unharmed(), UNHARMED)
}

/** An answer that tells nothing it should not, in the form that was asked for. */
function assertSpeaksCarefully(answer) {
  const text = `${JSON.stringify(answer.headers)} ${answer.text}`
  assert.doesNotMatch(text, /panicked|stack backtrace|\.rs:\d|RUST_BACKTRACE/)
  assert.ok(!text.includes(scene.subject.secret), 'the cookie secret')
  assert.ok(!text.includes(scene.provider.clientSecret), 'the client secret')
}

/** A refusal in JSON: `code` is for programs and stays the same, `message` is one sentence for people. */
function assertRefusal(answer, { status, code }) {
  assert.equal(answer.status, status, answer.text)
  if (code === undefined) return
  assert.match(answer.headers['content-type'] ?? '', /^application\/json/)
  const body = JSON.parse(answer.text)
  assert.equal(body.error, code, answer.text)
  assert.match(body.message, /^[A-Z].*[.]$/s, 'one sentence that says what to do')
}

/** Rows of `{ what, send, expect }`; `expect` is `{ status, code }` of a refusal or a function that judges the answer. */
function table(title, rows) {
  describe(title, () => {
    for (const { what, send, expect } of rows) {
      test(what, async () => {
        const answer = await send()
        assertSpeaksCarefully(answer)
        if (typeof expect === 'function') await expect(answer)
        else assertRefusal(answer, expect)
        await assertUnharmed()
      })
    }
  })
}

const signedIn = (answer) => assert.equal(answer.json()?.user?.email, 'alice@example.com', answer.text)
const signedOut = (answer) => assert.equal(answer.text, 'null')

table('cookies that are not ours, or were once', [
  {
    what: 'a foreign cookie with our prefix beside ours',
    send: async () => honest.fetch('/auth/session', { headers: { cookie: await cookiesWith(`${SESSION}-foo=junk`, `${SESSION}x=junk`, `${SESSION}.foo=junk`) } }),
    expect: signedIn,
  },
  {
    what: 'stale chunks beside ours',
    send: async () => honest.fetch('/auth/session', { headers: { cookie: await cookiesWith(`${SESSION}.3=stale`, `${SESSION}.7=stale`, `${SESSION}.99999999999999999999=stale`) } }),
    expect: signedIn,
  },
  {
    what: 'torn chunks alone',
    send: () => new Visitor(scene.url).fetch('/auth/session', { headers: { cookie: `${SESSION}.1=${'a'.repeat(3936)}; ${SESSION}.2=end` } }),
    expect: signedOut,
  },
  {
    what: 'a chunk bomb',
    send: () => new Visitor(scene.url).fetch('/auth/session', { headers: { cookie: Array.from({ length: 300 }, (_, n) => `${SESSION}.${n}=aaaaaaaaaa`).join('; ') } }),
    expect: signedOut,
  },
  {
    what: 'a cookie that is no JWE',
    send: () => new Visitor(scene.url).fetch('/auth/session', { headers: { cookie: `${SESSION}=junk` } }),
    expect: signedOut,
  },
  {
    what: 'a JWE that asks for decompression',
    send: () => {
      const header = Buffer.from('{"alg":"dir","enc":"A256GCM","zip":"DEF"}').toString('base64url')
      return new Visitor(scene.url).fetch('/auth/session', { headers: { cookie: `${SESSION}=${header}..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA` } })
    },
    expect: signedOut,
  },
  {
    what: 'a junk callback-url cookie',
    send: async () => honest.fetch('/auth/session', { headers: { cookie: await cookiesWith('authjs.callback-url=javascript%3Aalert(1)') } }),
    expect: signedIn,
  },
  {
    what: 'a value that does not percent-decode',
    send: async () => honest.fetch('/auth/session', { headers: { cookie: await cookiesWith('a=%zz', 'b=%', '=x', ';;;') } }),
    expect: signedIn,
  },
  {
    what: 'a junk csrf cookie',
    send: async () => honest.fetch('/auth/csrf', { headers: { cookie: await cookiesWith('authjs.csrf-token=junk%7Cjunk') } }),
    expect: (answer) => assert.match(answer.json().csrfToken, /^[0-9a-f]{64}$/),
  },
])

const RETURN_URLS = [
  `${EVIL}/`,
  '//evil.example/',
  '/\\evil.example/',
  '\\\\evil.example',
  '\t//evil.example',
  'https:evil.example',
  'javascript:alert(1)',
  'data:text/html,evil',
  '/%0d%0aset-cookie:%20planted=1',
  '/\r\nset-cookie: planted=1',
  'not a url',
  `/${'a'.repeat(5_000)}`,
]

describe('return URLs', () => {
  const ownOrNone = (answer) => {
    assertSpeaksCarefully(answer)
    assert.equal(answer.headers['set-cookie']?.some((line) => line.startsWith('planted')) ?? false, false)
    if (answer.headers.location === undefined) return
    const { origin } = new URL(answer.headers.location, scene.url)
    assert.ok([scene.url, scene.provider.issuer].includes(origin), answer.headers.location)
  }

  for (const callbackUrl of [...RETURN_URLS, () => `${scene.url}@evil.example/`, () => `${scene.url}.evil.example/`]) {
    const value = () => (typeof callbackUrl === 'function' ? callbackUrl() : callbackUrl)
    const label = typeof callbackUrl === 'function' ? String(callbackUrl) : JSON.stringify(callbackUrl).slice(0, 60)

    test(`signing in with ${label} ends on our own origin`, async () => {
      const visitor = new Visitor(scene.url)
      const answer = await visitor.postForm('/auth/signin/oidc', { csrfToken: await csrf(visitor), callbackUrl: value() })
      ownOrNone(answer)
      if (answer.status === 302) {
        const end = await visitor.visit(new URL(answer.headers.location, scene.url).href)
        assert.equal(new URL(end.url).origin, scene.url)
      } else {
        assert.equal(answer.status, 400, answer.text)
      }
      ownOrNone(await visitor.page(`/auth/signin?${new URLSearchParams({ callbackUrl: value() })}`))
      await assertUnharmed()
    })
  }

  test('signing out with a foreign return URL ends on our own origin', async () => {
    const visitor = await scene.signedIn()
    const answer = await visitor.postForm('/auth/signout', { csrfToken: await csrf(visitor), callbackUrl: `${EVIL}/` })
    ownOrNone(answer)
    assert.deepEqual(visitor.sessionCookies(), [])
    await assertUnharmed()
  })
})

const POSTS = [
  '/auth/refresh',
  '/auth/signout',
  '/auth/signin',
  '/auth/signin/oidc',
  '/api/renew-token',
  '/api/trigger-renew-token?query=update-token-data',
  '/api/update-user-data?query=update-user-data',
]
const FOREIGN = {
  'another site': CROSS_SITE,
  'an opaque origin': { origin: 'null', 'sec-fetch-site': 'cross-site' },
  'another port of our host': { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' },
  'our name on another scheme': { origin: 'https://127.0.0.1', 'sec-fetch-site': 'cross-site' },
  'an old browser on another site': { origin: EVIL, 'sec-fetch-site': undefined, 'sec-fetch-mode': undefined, 'sec-fetch-dest': undefined },
}

table('posts from elsewhere', [
  ...POSTS.flatMap((address) =>
    Object.entries(FOREIGN).flatMap(([who, headers]) => [
      {
        what: `a form of ${who} to ${address}`,
        send: async () => honest.postForm(address, { csrfToken: await csrf(honest), name: 'Mallory' }, { headers }),
        expect: { status: 403, code: 'cross_site' },
      },
      {
        what: `a fetch of ${who} to ${address}`,
        send: async () => honest.postJson(address, { csrfToken: await csrf(honest), name: 'Mallory' }, { headers }),
        expect: { status: 403, code: 'cross_site' },
      },
    ]),
  ),
  {
    what: 'an update of the session from another site, which Auth.js answers with 400',
    send: async () => honest.postJson('/auth/session', { csrfToken: await csrf(honest), data: { name: 'Mallory' } }, { headers: CROSS_SITE }),
    expect: (answer) => assert.deepEqual([answer.status, answer.text], [400, 'null']),
  },
  {
    what: 'a CSRF token of another browser',
    send: async () => honest.postForm('/auth/signout', { csrfToken: await csrf(new Visitor(scene.url)) }),
    expect: { status: 403, code: 'csrf_mismatch' },
  },
  {
    what: 'a link that asks for a renewal',
    send: () => honest.page('/whoami?query=update-token-data', { headers: { 'sec-fetch-site': 'cross-site', query: 'update-token-data' } }),
    expect: { status: 200 },
  },
])

const update = (body, headers) => honest.fetch('/api/update-user-data?query=update-user-data', { method: 'POST', body, headers })
table('bodies', [
  {
    what: 'JSON that is none, to the session',
    send: () => honest.fetch('/auth/session', { method: 'POST', body: '{"csrfToken":', headers: { 'content-type': 'application/json' } }),
    expect: (answer) => assert.deepEqual([answer.status, answer.text], [400, 'null']),
  },
  {
    what: 'JSON that is none, to the user data',
    send: () => update('{', { 'content-type': 'application/json' }),
    expect: { status: 400, code: 'bad_body' },
  },
  {
    what: 'JSON nested a hundred thousand deep',
    send: () => update('['.repeat(30_000), { 'content-type': 'application/json' }),
    expect: { status: 400, code: 'bad_body' },
  },
  {
    what: 'JSON that is no object',
    send: () => update('[1,2]', { 'content-type': 'application/json' }),
    expect: { status: 400, code: 'bad_body' },
  },
  {
    what: 'bytes that are no UTF-8',
    send: () => update(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), { 'content-type': 'application/json' }),
    expect: { status: 400, code: 'bad_body' },
  },
  {
    what: 'another content type',
    send: () => update('name=Mallory', { 'content-type': 'text/plain' }),
    expect: { status: 400, code: 'bad_body' },
  },
  {
    what: 'a multipart sign-out',
    send: () => honest.fetch('/auth/signout', { method: 'POST', body: '--x\r\n\r\n--x--\r\n', headers: { 'content-type': 'multipart/form-data; boundary=x' } }),
    expect: { status: 400, code: 'bad_body' },
  },
  {
    what: 'a body one byte over the limit',
    send: () => update(JSON.stringify({ name: 'x'.repeat((64 << 10) + 1 - 11) }), { 'content-type': 'application/json' }),
    expect: { status: 413, code: 'body_too_large' },
  },
  {
    what: 'a huge form',
    send: () => honest.postForm('/auth/signout', { csrfToken: 'x'.repeat(1 << 20) }),
    expect: { status: 413, code: 'body_too_large' },
  },
  {
    what: 'claims that are not for users to set',
    send: () => update('{"sub":"bob","access_token":"planted","refresh_token":"planted","exp":9999999999,"role":"admin","__proto__":{"admin":true}}', { 'content-type': 'application/json' }),
    expect: async (answer) => {
      assert.ok([200, 400].includes(answer.status), `${answer.status}`)
      const session = JSON.stringify((await honest.fetch('/auth/session')).json())
      assert.doesNotMatch(session, /planted|admin|bob/)
    },
  },
])

table('methods, actions and providers that there are not', [
  ...['PUT', 'DELETE', 'PATCH', 'OPTIONS'].map((method) => ({
    what: `${method} /auth/session`,
    send: () => honest.fetch('/auth/session', { method }),
    expect: { status: 405, code: 'method_not_allowed' },
  })),
  { what: 'GET /auth/refresh', send: () => honest.fetch('/auth/refresh'), expect: { status: 405, code: 'method_not_allowed' } },
  { what: 'GET /api/renew-token', send: () => honest.fetch('/api/renew-token'), expect: { status: 405, code: 'method_not_allowed' } },
  { what: 'an unknown action', send: () => honest.fetch('/auth/nothing'), expect: { status: 404, code: 'unknown_endpoint' } },
  { what: 'an action with too many parts', send: () => honest.fetch('/auth/session/of/mine'), expect: { status: 404, code: 'unknown_endpoint' } },
  { what: 'an empty part', send: () => honest.fetch('/auth//session'), expect: { status: 404, code: 'unknown_endpoint' } },
  { what: 'encoded dots', send: () => rawGet('/auth/%2e%2e/session'), expect: { status: 404, code: 'unknown_endpoint' } },
  {
    what: 'an unknown provider',
    send: async () => honest.postJson('/auth/signin/nobody', { csrfToken: await csrf(honest) }),
    expect: { status: 404, code: 'unknown_provider' },
  },
])

table('callbacks that no sign-in asked for', [
  '/oidc',
  '/oidc?code=stolen',
  '/oidc?code=stolen&state=guessed',
  '/oidc?error=access_denied&state=guessed',
  '/oidc?error=<script>alert(1)</script>&error_description=<script>alert(1)</script>',
  `/oidc?code=stolen&state=guessed&iss=${encodeURIComponent(EVIL)}`,
  `/oidc?code=${'a'.repeat(6_000)}&state=guessed`,
  '/oidc?code=a&code=b&state=c&state=d',
  '/nobody?code=stolen&state=guessed',
].flatMap((callback) => [
  {
    what: `${callback.slice(0, 60)} to whoever is signed in: they go on`,
    send: () => honest.page(`/auth/callback${callback}`),
    expect: (answer) => {
      assert.equal(answer.status, 302, answer.text)
      assert.equal(new URL(answer.headers.location, scene.url).origin, scene.url)
    },
  },
  {
    what: `${callback.slice(0, 60)} to a stranger: a page that says what to do`,
    send: () => new Visitor(scene.url).visit(`/auth/callback${callback}`),
    expect: (answer) => {
      assert.equal(new URL(answer.url).origin, scene.url)
      assert.match(answer.headers['content-type'], /^text\/html/)
      assert.match(answer.headers['content-security-policy'], /default-src 'none'/)
      assert.doesNotMatch(answer.text, /<script>alert|stolen|guessed/)
    },
  },
]))

table('requests that no client sends', [
  { what: 'two hosts', send: () => raw(['GET /auth/session HTTP/1.1', host(), 'Host: evil.example', 'Connection: close']), expect: { status: 400 } },
  { what: 'no host', send: () => raw(['GET /auth/session HTTP/1.1', 'Connection: close']), expect: { status: 400 } },
  {
    what: 'an absolute address of another host',
    send: () => raw(['GET http://evil.example/auth/session HTTP/1.1', host(), 'Connection: close']),
    expect: { status: 400 },
  },
  {
    what: 'two lengths',
    send: () => raw(['POST /auth/refresh HTTP/1.1', host(), 'Content-Length: 3', 'Content-Length: 4', 'Connection: close'], 'abc'),
    expect: { status: 400 },
  },
  {
    what: 'a space before the colon',
    send: () => raw(['GET /auth/session HTTP/1.1', host(), 'Transfer-Encoding : chunked', 'Connection: close'], '0\r\n\r\n'),
    expect: { status: 400 },
  },
  {
    what: 'a header of a hundred thousand bytes',
    send: () => raw(['GET /auth/session HTTP/1.1', host(), `X-Junk: ${'a'.repeat(100_000)}`, 'Connection: close']),
    expect: { status: 431 },
  },
  {
    what: 'a thousand headers',
    send: () => raw(['GET /auth/session HTTP/1.1', host(), ...Array.from({ length: 1_000 }, (_, n) => `X-Junk-${n}: 1`), 'Connection: close']),
    expect: { status: 431 },
  },
  {
    what: 'an address of a hundred thousand characters',
    send: () => raw([`GET /auth/session?${'a'.repeat(100_000)} HTTP/1.1`, host(), 'Connection: close']),
    expect: (answer) => assert.ok([414, 431].includes(answer.status), `${answer.status}`),
  },
  { what: 'noise', send: () => sendRaw(port(), '\x16\x03\x01\x02\x00\x01\r\n\r\n'), expect: { status: 400 } },
])

describe('what reaches the app', () => {
  const IDENTITY = {
    authorization: 'Bearer planted',
    'x-auth-request-email': 'planted',
    'x-auth-request-user': 'planted',
    'x-forwarded-user': 'planted',
    'x-forwarded-email': 'planted',
    'x-forwarded-access-token': 'planted',
    'x-perennial-user': 'planted',
    'remote-user': 'planted',
  }

  test('is our bearer token, none of the caller\'s identity headers and none of our cookies', async () => {
    const answer = await honest.fetch('/echo', { headers: { ...IDENTITY, cookie: await cookiesWith('theirs=kept') } })
    const { headers } = answer.json()
    assert.match(headers.authorization, /^Bearer (?!planted)./)
    assert.doesNotMatch(JSON.stringify(headers), /planted|authjs/)
    assert.match(headers.cookie, /theirs=kept/)
    await assertUnharmed()
  })

  test('the public address is the configured one, whatever the caller says', async () => {
    const stranger = new Visitor(scene.url)
    const answer = await stranger.page('/', { headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example' } })
    assert.equal(answer.status, 302)
    assert.equal(new URL(answer.headers.location).searchParams.get('redirect_uri'), `${scene.url}/auth/callback/oidc`)
    await assertUnharmed()
  })

  test('a large upload passes, for it is not ours to judge', async () => {
    const body = 'x'.repeat(1 << 20)
    const answer = await honest.fetch('/echo', { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
    assert.equal(answer.status, 200)
    assert.equal(answer.json().body.length, body.length)
    await assertUnharmed()
  })

  test('a stranger reaches nothing', async () => {
    const { length } = scene.upstream.seen
    for (const address of ['/', '/whoami', '/a/../whoami', '/a/%2e%2e/whoami', '/%61uth', '/AUTH/session', '/auth/../whoami', '//whoami', '/auth%2f..%2fwhoami', '*']) {
      for (const answer of [await rawGet(address), await rawGet(address, 'text/html')]) {
        assert.ok([302, 400, 401, 404].includes(answer.status), `${address}: ${answer.status}`)
      }
    }
    assert.equal((await new Visitor(scene.url).postJson('/whoami')).status, 401)
    assert.equal(scene.upstream.seen.length, length)
  })
})

describe('the routes of the first design', () => {
  test('tell a stranger 401 in their own shapes', async () => {
    const stranger = new Visitor(scene.url)
    const renew = await stranger.postJson('/api/renew-token')
    assert.deepEqual([renew.status, renew.json()], [401, { message: 'User is not authorized to rotate access-token' }])
    const trigger = await stranger.postJson('/api/trigger-renew-token')
    assert.deepEqual([trigger.status, trigger.json()], [200, { status: 401 }])
    const update = await stranger.postJson('/api/update-user-data?query=update-user-data', {})
    assert.deepEqual([update.status, update.json()], [401, { data: 'user is not authorized to update data' }])
    const status = await stranger.fetch('/api/get-session-status')
    assert.deepEqual([status.status, status.json()], [200, { status: 401 }])
  })

  test('serve whoever is signed in', async (t) => {
    const { signedIn, whoami, provider, unharmed, settled } = await open(t, GatewaySubject, { accessTokenLifetime: 3_600, extra: ['--compat-routes'] })
    const visitor = await signedIn()
    assert.deepEqual((await visitor.fetch('/api/get-session-status')).json(), { status: 200 })
    assert.deepEqual((await visitor.postJson('/api/trigger-renew-token')).json(), { status: 200 })
    assert.equal(provider.redemptions, 0, 'asking is not renewing')

    await settled()
    const renewed = await visitor.postJson('/api/renew-token')
    assert.equal(renewed.status, 200)
    const tokens = renewed.json()
    assert.deepEqual(Object.keys(tokens).sort().filter((key) => ['access_token', 'expires_in', 'refresh_token', 'token_type'].includes(key)), ['access_token', 'expires_in', 'token_type'])
    assert.equal((await whoami(visitor)).json().token, tokens.access_token)
    assert.equal(provider.redemptions, 1)

    await settled()
    assert.deepEqual((await visitor.postJson('/api/trigger-renew-token?query=update-token-data')).json(), { status: 200 })
    assert.equal(provider.redemptions, 2)
    assert.deepEqual(unharmed(), UNHARMED)
  })
})
