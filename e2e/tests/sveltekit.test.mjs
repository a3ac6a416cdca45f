// examples/sveltekit by HTTP: the package `perennial-sveltekit` in a built application, before the gateway and behind it.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'

import { decode, encode } from '@auth/core/jwt'

import { send } from '../support/http.mjs'
import { MODES, UNHARMED, openExample, signIn } from '../support/sveltekit.mjs'
import { Visitor } from '../support/visitor.mjs'
import { until } from '../support/wait.mjs'

const text = (page, name) => new RegExp(`data-test="${name}"[^>]*>(?:<!--.*?-->)*([^<]*)`).exec(page)?.[1]
const sessionCookies = (answer) => answer.setCookies.filter((line) => line.startsWith('authjs.session-token='))

for (const mode of MODES) {
  describe(`the SvelteKit example ${mode} the gateway`, { concurrency: 2 }, () => {
    test(`${mode}: strangers see what is public, and are sent to sign in or told 401`, async (t) => {
      const { url } = await openExample(t, mode)
      const stranger = new Visitor(url)
      const home = await stranger.page('/')
      assert.equal(home.status, 200)
      assert.equal(text(home.text, 'greeting'), 'Hello stranger.')
      const page = await stranger.page('/account?keep=this')
      assert.deepEqual([page.status, page.headers.location], [303, `/login?${new URLSearchParams({ callbackUrl: '/account?keep=this' })}`])
      const fetched = await stranger.fetch('/whoami')
      assert.equal(fetched.status, 401)
      const data = await stranger.fetch('/account/__data.json')
      assert.match(data.text, /"type":"redirect"/, 'a client-side navigation is sent there, too')
      assert.equal(home.setCookies.length + page.setCookies.length + fetched.setCookies.length, 0)
    })

    test(`${mode}: both providers sign in from the server, and the server signs out`, async (t) => {
      const { url, signedIn, provider } = await openExample(t, mode)
      for (const id of ['auth0', 'custom']) {
        const visitor = await signedIn(id)
        const account = await visitor.page('/account')
        assert.equal(account.status, 200)
        assert.deepEqual([text(account.text, 'name'), text(account.text, 'api')], ['Alice Archer', 'The API knows you.'])
        assert.doesNotMatch(account.text, /access_token|refresh_token|id_token/, 'no token reaches the page')
        let out = await visitor.postForm('/logout', { redirectTo: '/', callbackUrl: '/' })
        // Behind the gateway the browser posts once more, to the gateway (307 keeps method and body).
        if (mode === 'behind') {
          assert.deepEqual([out.status, out.headers.location], [307, '/auth/signout'])
          out = await visitor.postForm('/auth/signout', { redirectTo: '/', callbackUrl: '/' })
        }
        assert.equal(new URL(out.headers.location, url).href, `${url}/`)
        assert.deepEqual(visitor.sessionCookies(), [])
        assert.equal((await visitor.page('/account')).status, 303)
      }
      const { families } = await provider.state()
      await until('both grants to be given back', async () => (await provider.state()).families.every(({ alive }) => !alive))
      assert.equal(families.length, 2)
    })

    test(`${mode}: hook, layout, page and a streamed load get one answer, one renewal and one cookie`, async (t) => {
      const { signedIn, provider, app } = await openExample(t, mode)
      const visitor = await signedIn()
      for (let round = 1; round <= 3; round += 1) {
        const { newest } = await expired(provider)
        const page = await visitor.page('/streamed')
        assert.equal(page.status, 200, page.text)
        assert.equal(await provider.redemptions(), round, 'one redemption for the whole page')
        assert.equal(sessionCookies(page).length, 1, 'one cookie')
        const [early, late] = [text(page.text, 'early'), /generation:(\d+)/.exec(page.text)?.[1]]
        assert.deepEqual([early, late], [`${round}`, `${round}`], 'what streams late sees the same generation')
        assert.match(page.text, /The API knows you\./, 'with a token that lives')
        assert.ok(newest)
      }
      assert.doesNotMatch(app.log, /cookies\.set|after the response/, app.log)
      assert.deepEqual(await provider.harm(), UNHARMED)
    })

    test(`${mode}: thirty requests at once meet an expired token and cost one redemption`, async (t) => {
      // Long enough that the next token is not due before a slow machine has answered all of them.
      const { signedIn, provider } = await openExample(t, mode, { accessTokenLifetime: '10s' })
      const visitor = await signedIn()
      await expired(provider, 10_000)
      const answers = await Promise.all(Array.from({ length: 30 }, (_, index) => visitor.clone().fetch(index % 2 ? '/whoami' : '/account/__data.json')))
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
      assert.equal(await provider.redemptions(), 1)
      assert.deepEqual(await provider.harm(), UNHARMED)
    })

    test(`${mode}: an old cookie is given the newest generation`, async (t) => {
      const { signedIn, provider } = await openExample(t, mode)
      const visitor = await signedIn()
      const old = visitor.clone()
      await expired(provider)
      assert.equal((await visitor.fetch('/whoami')).json().generation, 1)
      await expired(provider)
      const answer = await old.fetch('/whoami')
      assert.deepEqual([answer.status, answer.json().generation], [200, 2], answer.text)
      assert.deepEqual(await provider.harm(), UNHARMED)
    })

    test(`${mode}: renews at a press of the button, on the server and by the two routes of the recipe`, async (t) => {
      const { url, signedIn, provider } = await openExample(t, mode, { accessTokenLifetime: '60s' })
      const visitor = await signedIn()
      const ways = [
        async () => assert.equal((await visitor.postJson('/auth/refresh')).json().renewed, true),
        async () => {
          const back = await visitor.postForm('/auth/refresh', {}, { headers: { referer: `${url}/account` } })
          assert.deepEqual([back.status, back.headers.location], [303, `${url}/account`], 'the form without JavaScript comes back')
        },
        async () => {
          const answer = (await visitor.postJson('/api/renew-token')).json()
          assert.deepEqual(Object.keys(answer).sort(), ['access_token', 'expires_in', 'token_type'])
        },
        async () => assert.deepEqual((await visitor.postJson('/api/trigger-renew-token?query=update-token-data')).json(), { status: 200 }),
        async () => {
          const answer = await visitor.postForm('/account?/refresh', {}, { headers: { referer: `${url}/account` } })
          if (mode === 'before') return assert.equal(answer.status, 200)
          assert.deepEqual([answer.status, answer.headers.location], [307, '/auth/refresh'])
          await visitor.postForm('/auth/refresh', {}, { headers: { referer: `${url}/account` } })
        },
      ]
      for (const [index, renew] of ways.entries()) {
        // Two renewals on demand lie at least a second apart.
        await until('the newest token to be a second old', async () => Date.now() - (await newestToken(provider)).issued_at_ms > 1_050)
        await renew()
        assert.equal((await visitor.fetch('/whoami')).json().generation, index + 1)
      }
      assert.deepEqual(await provider.harm(), UNHARMED)
    })

    test(`${mode}: user data is updated, as far as the configuration allows it`, async (t) => {
      const { signedIn } = await openExample(t, mode)
      const visitor = await signedIn()
      const answer = await visitor.postJson('/api/update-user-data?query=update-user-data', { name: 'Alicia', sub: 'mallory', access_token: 'x' })
      assert.equal(answer.json().data.name, 'Alicia')
      assert.equal((await visitor.fetch('/whoami')).json().name, 'Alicia')
      assert.deepEqual((await visitor.fetch('/api/get-session-status')).json(), { status: 200 })
      assert.deepEqual((await new Visitor(visitor.home).fetch('/api/get-session-status')).json(), { status: 401 })
    })

    test(`${mode}: an outage of the provider is a 503 with patience, and never a sign-out`, async (t) => {
      const { signedIn, provider } = await openExample(t, mode, { accessTokenLifetime: '3s' })
      const visitor = await signedIn()
      await provider.misbehave({ respond_status: 503 })
      await expired(provider, 3_000)
      const page = await visitor.page('/account')
      assert.equal(page.status, 503)
      assert.match(page.text, /You are still signed in/)
      assert.equal((await visitor.fetch('/whoami')).status, 503)
      const home = await visitor.page('/')
      assert.deepEqual([home.status, text(home.text, 'greeting')], [200, 'Hello Alice Archer.'], 'public pages still know who is there')
      await provider.mend()
      await until('the page to come back', async () => (await visitor.page('/account')).status === 200, { within: 20_000, every: 250 })
      assert.deepEqual(await provider.harm(), UNHARMED)
    })

    test(`${mode}: while the gateway restarts nobody is signed out`, async (t) => {
      const { signedIn, gateway, url } = await openExample(t, mode)
      const visitor = await signedIn()
      await gateway.stop()
      const during = await visitor.page('/account').catch((error) => ({ status: error.code }))
      assert.ok(mode === 'before' ? during.status === 503 : during.status === 'ECONNREFUSED', String(during.status))
      if (mode === 'before') {
        assert.equal((await new Visitor(url).page('/')).status, 200, 'strangers see what is public')
        const answer = await visitor.fetch('/auth/session')
        assert.deepEqual([answer.status, answer.json().error], [503, 'gateway_unreachable'])
      }
      await gateway.start()
      assert.equal((await visitor.page('/account')).status, 200)
    })
  })
}

describe('what a forger tries', () => {
  test('behind: a statement can neither be made nor brought along', async (t) => {
    const { url, appUrl, signedIn, app } = await openExample(t, 'behind', { accessTokenLifetime: '60s' })
    const forwarded = { 'x-forwarded-proto': 'http', 'x-forwarded-host': new URL(url).host }
    const asApp = (headers, path = '/whoami') => send(`${appUrl}${path}`, { headers: { ...forwarded, accept: 'application/json', ...headers } })
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: url, aud: appUrl, iat: now, exp: now + 30, jti: 'j', htm: 'GET', htu: `${appUrl}/whoami`, sub: 'alice', sid: 's', provider: 'auth0', generation: 1, expires_at: now + 60, condition: 'fresh', session: { user: { name: 'Mallory' }, expires: '' } }
    const { keys } = (await send(`${url}/auth/identity/jwks`)).json()
    for (const [what, header] of [
      ['no algorithm', { alg: 'none', typ: 'perennial-identity+jwt', kid: keys[0].kid }],
      ['an HMAC with the public key', { alg: 'HS256', typ: 'perennial-identity+jwt', kid: keys[0].kid }],
      ['an unknown key', { alg: 'EdDSA', typ: 'perennial-identity+jwt', kid: 'mine' }],
      ['another type', { alg: 'EdDSA', typ: 'JWT', kid: keys[0].kid }],
      ['a signature of nothing', { alg: 'EdDSA', typ: 'perennial-identity+jwt', kid: keys[0].kid }],
    ]) {
      const forged = `${part(header)}.${part(claims)}.${createHash('sha512').update('x').digest('base64url')}`
      assert.equal((await asApp({ 'x-perennial-identity': forged })).status, 401, what)
      assert.equal((await new Visitor(url).fetch('/whoami', { headers: { 'x-perennial-identity': forged } })).status, 401, `${what}, through the gateway`)
    }
    assert.match(app.log, /was refused/)
    const visitor = await signedIn()
    const answer = await visitor.fetch('/whoami', { headers: { 'x-perennial-identity': 'mine', X_Perennial_Identity: 'mine' } })
    assert.equal(answer.json().name, 'Alice Archer', 'what a browser brings along is thrown away')
  })

  test('before: what is for the server alone is not reached through it, and not by a browser', async (t) => {
    const { signedIn, url, gatewayUrl, backendSecret } = await openExample(t, 'before')
    const visitor = await signedIn()
    const secret = { authorization: `Bearer ${backendSecret}` }
    const through = await visitor.postJson('/auth/backend/session', {}, { headers: secret })
    assert.deepEqual([through.status, through.json().error], [404, 'unknown_endpoint'])
    for (const path of ['/auth/backend%2fsession', '/auth/./backend/session', '/auth//backend/session', '/AUTH/backend/session']) {
      const odd = await send(`${url}${path}`, { method: 'POST', headers: { ...secret, origin: url, 'content-type': 'application/json' }, body: '{}' })
      assert.notEqual(odd.status, 200, path)
      assert.doesNotMatch(odd.text, /access_token/, path)
    }
    const browser = await visitor.postJson(`${gatewayUrl}/auth/backend/session`, {}, { headers: secret })
    assert.deepEqual([browser.status, browser.json().error], [403, 'backend_only'])
    assert.equal((await send(`${gatewayUrl}/auth/backend/session`, { method: 'POST', headers: { authorization: 'Bearer x' } })).status, 403)
    const cross = await visitor.postForm('/auth/signout', {}, { headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' } })
    assert.equal(cross.status, 403)
    assert.equal((await visitor.page('/account')).status, 200, 'still signed in')
  })
})

test('a session that SvelteKitAuth began goes on and renews, and SvelteKitAuth opens what comes of it', async (t) => {
  const { url, signedIn, provider, secret } = await openExample(t, 'before')
  const salt = 'authjs.session-token'
  // What the recipe's `jwt` callback kept, sealed by Auth.js itself; the tokens are those of a sign-in of ours.
  const [{ value }] = (await signedIn()).sessionCookies()
  const { access_token, refresh_token, expires_at } = await decode({ token: value, secret, salt })
  const token = { name: 'Alice Archer', email: 'alice@example.com', sub: 'an id of Auth.js', access_token, refresh_token, expires_at }
  const visitor = new Visitor(url)
  await visitor.jar.setCookie(`${salt}=${await encode({ token, secret, salt })}; Path=/; HttpOnly`, url)

  assert.equal((await visitor.fetch('/whoami')).json().answer, 'The API knows you.')
  await expired(provider)
  const answer = (await visitor.fetch('/whoami')).json()
  assert.deepEqual([answer.name, answer.generation, answer.answer], ['Alice Archer', 1, 'The API knows you.'])
  assert.deepEqual(await provider.harm(), UNHARMED)
  const back = await decode({ token: visitor.sessionCookies()[0].value, secret, salt })
  assert.deepEqual([back.sub, back.email], [token.sub, token.email])
  assert.notEqual(back.refresh_token, refresh_token)
})

test('a return address of another site leads home', async (t) => {
  const { url } = await openExample(t, 'before')
  const visitor = new Visitor(url)
  const answer = await signIn(visitor, 'auth0', 'https://evil.example/')
  assert.equal(answer.url, `${url}/`)
})

async function newestToken(provider) {
  const { families } = await provider.state()
  return families.at(-1).refresh_tokens.at(-1)
}

/** Waits until the access token that came with the newest refresh token has died. */
async function expired(provider, lifetime = 4_000) {
  const newest = await newestToken(provider)
  await until('the access token to die', () => Date.now() > newest.issued_at_ms + lifetime + 100, { within: lifetime + 5_000 })
  return { newest }
}
