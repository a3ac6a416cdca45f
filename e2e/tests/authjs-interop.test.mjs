// Session cookies pass between us and npm @auth/core in both directions, with the same secret: small ones, chunked ones, after a rotation of secrets.

import assert from 'node:assert/strict'
import { hkdfSync } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

import { Auth, skipCSRFCheck } from '@auth/core'
import { decode, encode, getToken } from '@auth/core/jwt'
import { EncryptJWT } from 'jose'

import { PERENNIAL, newSecret, output } from '../support/processes.mjs'
import { GatewaySubject, open } from '../support/subjects.mjs'

const NAMES = ['authjs.session-token', '__Secure-authjs.session-token', 'another.name']
const SMALL = { name: 'Alice Adams', email: 'alice@example.com', picture: 'https://example.com/a.png', sub: '7f3c' }
/** Outside ASCII, nested, and with what a careless encoder escapes. */
const ODD = { ...SMALL, name: 'Zoë «Ø» 日本 🌱', nested: { list: [1, 2.5, null, true, { a: '"\\/' }], '': '' } }
/** Beyond one cookie of 3936 characters, as real tokens of big organisations are. */
const LARGE = { ...SMALL, access_token: 'a'.repeat(4_000), groups: Array.from({ length: 100 }, (_, n) => `group-${n}-ü`) }
const ALL = { small: SMALL, odd: ODD, large: LARGE }

/** Our own program seals `claims`; answers the cookies as `[name, value]`. */
async function seal(claims, { name, secret, env = {} }) {
  const lines = await output('cookie-seal', PERENNIAL, ['cookie', 'seal', '--name', name], {
    env: { AUTH_SECRET: secret, ...env },
    input: JSON.stringify(claims),
  })
  return lines
    .trim()
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])
}

const header = (cookies) => cookies.map(([name, value]) => `${name}=${value}`).join('; ')

/** Our own program opens a Cookie header. */
async function openCookie(cookie, { name, secret, env = {} }) {
  const text = await output('cookie-open', PERENNIAL, ['cookie', 'open', '--name', name, '--dangerous-show-tokens'], {
    env: { AUTH_SECRET: secret, ...env },
    input: cookie,
  })
  return JSON.parse(text)
}

/** Auth.js itself reads `cookie` and re-issues it, as it does at every GET /session: its own chunks, its own names. */
async function reissuedByAuthJs(cookie, { name, secret }) {
  const answer = await Auth(new Request('http://127.0.0.1/auth/session', { headers: { cookie } }), {
    basePath: '/auth',
    cookies: { sessionToken: { name, options: { httpOnly: true, sameSite: 'lax', path: '/', secure: name.startsWith('__Secure-') } } },
    logger: { error: (error) => assert.fail(error), warn() {}, debug() {} },
    providers: [],
    secret,
    skipCSRFCheck,
    trustHost: true,
  })
  const cookies = answer.headers.getSetCookie().map((line) => line.split(';')[0]).map((pair) => [pair.slice(0, pair.indexOf('=')), decodeURIComponent(pair.slice(pair.indexOf('=') + 1))])
  return { session: await answer.json(), cookies: cookies.filter(([key, value]) => key.startsWith(name) && value !== '') }
}

/** `claims` came through: whatever registered claims were added, nothing else changed. */
function assertClaims(opened, claims) {
  const { iat, exp, jti, ...rest } = opened
  assert.deepEqual(rest, claims)
  assert.ok(Number.isInteger(iat) && exp > iat && typeof jti === 'string', JSON.stringify({ iat, exp, jti }))
}

for (const name of NAMES) {
  for (const [size, claims] of Object.entries(ALL)) {
    test(`Auth.js opens what we seal: ${size} in ${name}`, async () => {
      const secret = newSecret()
      const cookies = await seal(claims, { name, secret })
      assert.equal(cookies.length > 1, size === 'large')
      for (const [key, value] of cookies) {
        assert.ok(value.length <= 3936)
        if (size !== 'large') assert.equal(key, name)
      }
      assertClaims(await getToken({ req: { headers: { cookie: header(cookies) } }, secret, cookieName: name, salt: name }), claims)
      assertClaims(await decode({ token: cookies.map(([, value]) => value).join(''), secret, salt: name }), claims)
    })

    test(`we open what Auth.js seals: ${size} in ${name}`, async () => {
      const secret = newSecret()
      const value = await encode({ token: claims, secret, salt: name })
      // One oversized cookie first: Auth.js then writes its own chunks.
      const { cookies } = await reissuedByAuthJs(`${name}=${value}`, { name, secret })
      assert.equal(cookies.length > 1, size === 'large')
      assertClaims(await openCookie(header(cookies), { name, secret }), claims)
    })
  }

  test(`a chunked session survives a round trip through both, in ${name}`, async () => {
    const secret = newSecret()
    const ours = await seal(LARGE, { name, secret })
    const { session, cookies } = await reissuedByAuthJs(header(ours), { name, secret })
    assert.deepEqual(session.user, { name: SMALL.name, email: SMALL.email, image: SMALL.picture })
    assertClaims(await openCookie(header(cookies), { name, secret }), LARGE)
  })
}

const [NAME] = NAMES

test('a cookie of the last secret opens on both sides, and the new secret seals', async () => {
  const [older, newer] = [newSecret(), newSecret()]
  const env = { AUTH_SECRET_1: newer }
  const before = await encode({ token: SMALL, secret: older, salt: NAME })
  assertClaims(await openCookie(`${NAME}=${before}`, { name: NAME, secret: older, env }), SMALL)

  const [[, after]] = await seal(SMALL, { name: NAME, secret: older, env })
  assertClaims(await decode({ token: after, secret: [newer, older], salt: NAME }), SMALL)
  assertClaims(await decode({ token: after, secret: newer, salt: NAME }), SMALL)
  await assert.rejects(decode({ token: after, secret: older, salt: NAME }))
})

test('we open A256GCM, which Auth.js opens as well', async () => {
  const secret = newSecret()
  const key = new Uint8Array(hkdfSync('sha256', secret, NAME, `Auth.js Generated Encryption Key (${NAME})`, 32))
  const value = await new EncryptJWT(SMALL)
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .setIssuedAt()
    .setExpirationTime('1h')
    .setJti('one')
    .encrypt(key)
  assertClaims(await decode({ token: value, secret, salt: NAME }), SMALL)
  assertClaims(await openCookie(`${NAME}=${value}`, { name: NAME, secret }), SMALL)
})

test('another secret, another name, a flipped bit and an expired cookie open on neither side', async () => {
  const secret = newSecret()
  const good = await encode({ token: SMALL, secret, salt: NAME })
  const cut = good.length - 20
  const bad = {
    'another secret': await encode({ token: SMALL, secret: newSecret(), salt: NAME }),
    'another name': await encode({ token: SMALL, secret, salt: `__Secure-${NAME}` }),
    'a flipped bit': good.slice(0, cut) + (good[cut] === 'A' ? 'B' : 'A') + good.slice(cut + 1),
    'an expired cookie': await encode({ token: SMALL, secret, salt: NAME, maxAge: -16 }),
  }
  assertClaims(await openCookie(`${NAME}=${good}`, { name: NAME, secret }), SMALL)
  for (const [what, value] of Object.entries(bad)) {
    await assert.rejects(decode({ token: value, secret, salt: NAME }), undefined, what)
    await assert.rejects(openCookie(`${NAME}=${value}`, { name: NAME, secret }), /ended with/, what)
  }
})

test('tokens are printed on request alone', async () => {
  const secret = newSecret()
  const claims = { ...SMALL, access_token: 'planted-access', refresh_token: 'planted-refresh' }
  const value = await encode({ token: claims, secret, salt: NAME })
  const text = await output('cookie-open', PERENNIAL, ['cookie', 'open', '--name', NAME], { env: { AUTH_SECRET: secret }, input: `${NAME}=${value}` })
  assert.equal(JSON.parse(text).name, SMALL.name)
  assert.doesNotMatch(text, /planted/)
})

test('Auth.js opens the cookie of a running gateway, and the gateway that of Auth.js', async (t) => {
  const { signedIn, visitor, subject, url } = await open(t, GatewaySubject, { accessTokenLifetime: 60 })
  const secret = subject.secret
  const cookie = await (await signedIn()).jar.getCookieString(url)
  const claims = await getToken({ req: { headers: { cookie } }, secret, cookieName: NAME, salt: NAME })
  assert.deepEqual([claims.name, claims.email], ['Alice Adams', 'alice@example.com'])

  const migrated = visitor()
  await migrated.jar.setCookie(`${NAME}=${await encode({ token: SMALL, secret, salt: NAME })}; Path=/; HttpOnly`, url)
  const session = (await migrated.fetch('/auth/session')).json()
  assert.deepEqual(session.user, { name: SMALL.name, email: SMALL.email, image: SMALL.picture })
})

test('every difference from Auth.js that docs/authjs.md tells of has the test it names', () => {
  const root = new URL('../..', import.meta.url).pathname
  const sources = ['crates', 'e2e/tests'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true })
      .filter((file) => /\.(rs|mjs)$/.test(file))
      .map((file) => readFileSync(path.join(root, folder, file), 'utf8')),
  )
  const text = readFileSync(path.join(root, 'docs/authjs.md'), 'utf8')
  const rows = text.slice(text.indexOf('## What differs on purpose')).split('\n').filter((line) => line.startsWith('| ')).slice(1)
  assert.ok(rows.length > 20, `${rows.length}`)
  for (const row of rows) {
    const named = row.split('|').at(-2).trim()
    if (named === '–') continue
    const name = named.replaceAll('`', '')
    assert.ok(sources.some((source) => source.includes(`fn ${name}(`) || source.includes(`'${name}'`) || source.includes(`test('${name}`)), `no test is called ${name}`)
  }
})
