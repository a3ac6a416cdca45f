// People who are signed in at an app of Auth.js stay signed in when Perennial takes its place, and the other way round, with the same secret.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { test } from 'node:test'

import { Auth, skipCSRFCheck } from '@auth/core'
import v4 from 'next-auth-v4/jwt'

import { openApp } from '../support/client-app.mjs'
import { PERENNIAL, freePort, newSecret, output } from '../support/processes.mjs'
import { UNHARMED } from '../support/subjects.mjs'
import { until, untilTime } from '../support/wait.mjs'

/** A real app of Auth.js with one provider and the callbacks of its guide to refreshing, which never runs here. */
async function authJsApp(t, { port, provider, secret, jwt }) {
  const url = `http://127.0.0.1:${port}`
  const config = {
    basePath: '/auth',
    callbacks: { jwt },
    logger: { error: (error) => console.error(error), warn() {}, debug() {} },
    providers: [
      {
        id: 'oidc',
        name: 'The provider',
        type: 'oidc',
        issuer: provider.issuer,
        clientId: provider.clientId,
        clientSecret: provider.clientSecret,
        authorization: { params: { scope: 'openid profile email offline_access', prompt: 'consent' } },
      },
    ],
    secret,
    skipCSRFCheck,
    trustHost: true,
  }
  const server = http.createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    const body = parts.length > 0 ? Buffer.concat(parts) : undefined
    const answer = await Auth(new Request(new URL(request.url, url), { method: request.method, headers: request.headers, body }), config)
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => name !== 'set-cookie'))
    response.writeHead(answer.status, { ...headers, 'set-cookie': answer.headers.getSetCookie() }).end(Buffer.from(await answer.arrayBuffer()))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => (server.closeAllConnections(), server.close()))
  return url
}

/** What the guide keeps of the provider's answer. */
const guide = ({ token, account }) =>
  account ? { ...token, access_token: account.access_token, expires_at: account.expires_at, refresh_token: account.refresh_token } : token

/** Somebody who has signed in at the app of Auth.js, and the gateway that shares its secret and the browser's cookies. */
async function signedInAtAuthJs(t, { jwt = guide, accessTokenLifetime = 4 } = {}) {
  const [port, secret] = [await freePort(), newSecret()]
  const url = `http://127.0.0.1:${port}`
  const app = await openApp(t, { accessTokenLifetime, secret, redirectUris: [`${url}/auth/callback/oidc`] })
  await authJsApp(t, { port, provider: app.provider, secret, jwt })
  const visitor = app.visitor()
  const start = await visitor.postForm(`${url}/auth/signin/oidc`, { callbackUrl: `${url}/auth/session` })
  assert.equal(start.status, 302, start.text)
  const landed = await visitor.visit(start.headers.location)
  assert.equal(landed.json()?.user?.name, 'Alice Adams', landed.text)
  return { ...app, visitor, authJs: url }
}

const signIns = ({ provider }) => provider.tokenCalls.filter(({ grant }) => grant === 'authorization_code').length
const unharmed = ({ provider }) => ({ refused: provider.refused, revokedGrants: provider.revokedGrants, refusals: provider.refusals })

test('a session begun in an app of Auth.js goes on behind Perennial, renews there, and needs no sign-in', async (t) => {
  const app = await signedInAtAuthJs(t)
  const { visitor, provider } = app
  const session = (await visitor.fetch('/auth/session')).json()
  assert.deepEqual([session.user.name, session.user.email], ['Alice Adams', 'alice@example.com'])
  assert.equal((await visitor.page('/members')).status, 200, 'no redirect to the provider')

  const { at } = provider.tokenCalls.findLast(({ outcome }) => outcome === 'success')
  await untilTime(at + 4_000)
  assert.equal((await visitor.page('/members')).status, 200)
  assert.equal(provider.redemptions, 1, 'the refresh token of the old app bought the next generation')
  assert.equal(signIns(app), 1)
  assert.deepEqual(unharmed(app), UNHARMED)
})

test('fifty requests with a cookie of Auth.js whose token has died make one redemption', async (t) => {
  const app = await signedInAtAuthJs(t, { accessTokenLifetime: 2 })
  await untilTime(app.provider.tokenCalls.at(-1).at + 2_000)
  const answers = await Promise.all(Array.from({ length: 50 }, () => app.visitor.clone().page('/members')))
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.equal(app.provider.redemptions, 1)
  assert.deepEqual(unharmed(app), UNHARMED)
})

test('a session that kept no tokens goes on as who it is', async (t) => {
  const app = await signedInAtAuthJs(t, { jwt: ({ token }) => token })
  assert.equal((await app.visitor.fetch('/auth/session')).json().user.name, 'Alice Adams')
  assert.equal((await app.visitor.page('/members')).status, 200)
})

test('Auth.js goes on with a session that Perennial began', async (t) => {
  const [port, secret] = [await freePort(), newSecret()]
  const app = await openApp(t, { secret })
  const url = await authJsApp(t, { port, provider: app.provider, secret, jwt: guide })
  const visitor = app.visitor()
  await visitor.visit('/members')
  const there = (await visitor.fetch(`${url}/auth/session`)).json()
  assert.deepEqual([there.user.name, there.user.email], ['Alice Adams', 'alice@example.com'])
  // Auth.js has written the cookie anew by now, with all that we keep in it.
  assert.equal((await visitor.page('/members')).status, 200)
  // A younger token is not renewed on demand.
  await untilTime(app.provider.tokenCalls.at(-1).at + 1_000)
  assert.equal((await visitor.fetch('/auth/refresh', { method: 'POST' })).json().generation, 1, 'it is the same session')
})

const V4 = 'next-auth.session-token'

/** The recipe of next-auth 4, which writes in camels and counts milliseconds. */
async function signedInAtNextAuth4(t, { name = V4, pad = 0, ...options } = {}) {
  const app = await signedInAtAuthJs(t, options)
  const { visitor, secret, url } = app
  const { decode } = await import('@auth/core/jwt')
  const [{ value }] = visitor.sessionCookies()
  const { access_token, refresh_token, expires_at, ...rest } = await decode({ token: value, secret, salt: 'authjs.session-token' })
  const token = { ...rest, accessToken: access_token, accessTokenExpires: expires_at * 1000, refreshToken: refresh_token, groups: 'g'.repeat(pad) }
  const sealed = await v4.encode({ token, secret })
  await visitor.jar.removeAllCookies()
  const chunks = sealed.length > 3933 ? sealed.match(/.{1,3933}/g) : [sealed]
  for (const [index, chunk] of chunks.entries()) {
    await visitor.jar.setCookie(`${chunks.length > 1 ? `${name}.${index}` : name}=${chunk}; Path=/; HttpOnly`, url)
  }
  return app
}

for (const [size, pad] of [['small', 0], ['chunked', 6_000]]) {
  test(`a session of next-auth 4 goes on, is written anew under our name, and renews: ${size}`, async (t) => {
    const app = await signedInAtNextAuth4(t, { pad })
    const { visitor, provider } = app
    assert.equal(visitor.cookies().filter(({ key }) => key.startsWith(V4)).length, pad > 0 ? 3 : 1)
    assert.equal((await visitor.page('/members')).status, 200)
    const names = visitor.cookies().map(({ key }) => key)
    assert.ok(names.some((name) => name.startsWith('authjs.session-token')), names.join(' '))
    assert.ok(!names.some((name) => name.startsWith(V4)), `${names.join(' ')}: the old cookie would present spent tokens`)
    await untilTime(provider.tokenCalls.at(-1).at + 4_000)
    assert.equal((await visitor.fetch('/auth/session')).json().user.name, 'Alice Adams')
    assert.equal(provider.redemptions, 1)
    assert.equal(signIns(app), 1)
    assert.deepEqual(unharmed(app), UNHARMED)
  })
}

test('signing out forgets the cookie of next-auth 4 too', async (t) => {
  const { visitor } = await signedInAtNextAuth4(t)
  await visitor.postForm('/auth/signout')
  assert.equal(visitor.cookies().filter(({ key }) => key.includes('session-token')).length, 0)
  assert.equal((await visitor.fetch('/auth/session')).json(), null)
})

test('getToken and decode of next-auth 4 read our cookie when we are told to write its', async (t) => {
  const secret = newSecret()
  const app = await openApp(t, { secret, settings: '[session]\ncookie_format = "next-auth-4"\n' })
  const visitor = app.visitor()
  assert.equal((await visitor.visit('/members')).status, 200)
  const cookies = Object.fromEntries(visitor.cookies().map(({ key, value }) => [key, value]))
  assert.ok(Object.keys(cookies).some((name) => name.startsWith(V4)), Object.keys(cookies).join(' '))
  const token = await v4.getToken({ req: { cookies, headers: {} }, secret, secureCookie: false })
  assert.deepEqual([token.name, token.email, token.sub], ['Alice Adams', 'alice@example.com', 'alice'])
  if (cookies[V4]) assert.equal((await v4.decode({ token: cookies[V4], secret })).name, 'Alice Adams')

  // And back: told to write Auth.js 5's again, it goes on.
  const text = await output('cookie-open', PERENNIAL, ['cookie', 'open', '--name', V4], {
    env: { AUTH_SECRET: secret },
    input: Object.entries(cookies).map(([name, value]) => `${name}=${value}`).join('; '),
  })
  assert.equal(JSON.parse(text).name, 'Alice Adams')
})

test('the provider sees one sign-out for each session given up, whoever began it', async (t) => {
  const { visitor, provider } = await signedInAtAuthJs(t)
  await visitor.postForm('/auth/signout')
  await until('the grant to be given back', () => provider.returnedGrants === 1)
})
