// Sign in and stay signed in, at a provider that nobody here wrote: it rotates at every refresh and revokes the grant when a spent token comes again.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { AxumSubject, GatewaySubject, UNHARMED, open } from '../support/subjects.mjs'
import { until, untilTime } from '../support/wait.mjs'

const SUBJECTS = { gateway: GatewaySubject, 'axum example': AxumSubject }

const OUTAGES = [
  { outage: 'answers 503', begin: (provider) => provider.breakTokenEndpoint(503), end: (provider) => provider.mend() },
  { outage: 'answers 500 in HTML', begin: (provider) => provider.breakTokenEndpoint(500, { 'content-type': 'text/html' }), end: (provider) => provider.mend() },
  { outage: 'asks for patience', begin: (provider) => provider.breakTokenEndpoint(429, { 'retry-after': '1' }), end: (provider) => provider.mend() },
  { outage: 'refuses connections', begin: (provider) => provider.down(), end: (provider) => provider.up() },
]

for (const [which, Subject] of Object.entries(SUBJECTS)) {
  // Each test mostly waits for tokens to die, and shares nothing with its neighbours.
  describe(which, { concurrency: 4 }, () => {
    test(`${which}: a page load signs in and comes back, a fetch is told 401`, async (t) => {
      const { visitor, provider, url } = await open(t, Subject, { claimsInIdToken: false })
      const stranger = visitor()
      const refusal = await stranger.fetch('/whoami')
      assert.equal(refusal.status, 401)
      assert.match(refusal.headers['content-type'], /^application\/json/)
      assert.equal(refusal.headers.location, undefined)

      const redirect = await stranger.page('/whoami?keep=this')
      assert.equal(redirect.status, 302)
      const authorization = new URL(redirect.headers.location)
      assert.equal(authorization.origin, provider.issuer, 'straight to the only provider')
      assert.equal(authorization.searchParams.get('code_challenge_method'), 'S256')
      assert.equal(authorization.searchParams.get('redirect_uri'), `${url}/auth/callback/oidc`)
      assert.match(authorization.searchParams.get('prompt') ?? '', /consent/)

      const answer = await stranger.visit('/whoami?keep=this')
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.url, `${url}/whoami?keep=this`, 'back at the page that was asked for')
      assert.equal(answer.json().sub, 'alice')
      const session = (await stranger.fetch('/auth/session')).json()
      assert.deepEqual([session.user.name, session.user.email], ['Alice Adams', 'alice@example.com'])
      assert.doesNotMatch(JSON.stringify(session), /token/i, 'tokens are withheld from the browser')
      for (const cookie of stranger.sessionCookies()) {
        assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'lax', '/'], cookie.key)
      }
    })

    test(`${which}: three renewals happen by themselves and every answer is good`, async (t) => {
      const { signedIn, whoami, provider, unharmed } = await open(t, Subject, { accessTokenLifetime: 3 })
      const visitor = await signedIn()
      const tokens = new Set()
      await until(
        'a fourth access token',
        async () => {
          const answer = await whoami(visitor)
          assert.equal(answer.status, 200, answer.text)
          assert.equal(answer.json().sub, 'alice')
          return tokens.add(answer.json().token).size === 4
        },
        { within: 20_000, every: 100 },
      )
      assert.equal(provider.redemptions, 3)
      assert.deepEqual(unharmed(), UNHARMED)
    })

    test(`${which}: Refresh Token brings a new generation at once`, async (t) => {
      const { signedIn, whoami, provider, unharmed, settled } = await open(t, Subject, { accessTokenLifetime: 60 })
      const visitor = await signedIn()
      const before = (await whoami(visitor)).json().token
      await settled()
      const answer = await visitor.postJson('/auth/refresh')
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json().renewed, true)
      const after = (await whoami(visitor)).json().token
      assert.notEqual(after, before)
      assert.doesNotMatch(answer.text, new RegExp(after), 'the token itself stays on the server')
      assert.equal(provider.redemptions, 1)
      assert.deepEqual(unharmed(), UNHARMED)
    })

    test(`${which}: fifty requests at expiry are one redemption and fifty good answers`, async (t) => {
      const { signedIn, whoami, provider, unharmed, expiry } = await open(t, Subject, { accessTokenLifetime: 5 })
      const visitor = await signedIn()
      await untilTime(expiry())
      const answers = await Promise.all(Array.from({ length: 50 }, () => whoami(visitor.clone())))
      assert.deepEqual(answers.filter(({ status }) => status !== 200).map(({ status, text }) => [status, text]), [])
      assert.equal(new Set(answers.map((answer) => answer.json().token)).size, 1, 'all fifty were handed the same new token')
      assert.equal(provider.redemptions, 1)

      // None of the fifty tabs gave its cookie back to this jar: it is a generation behind, and alive.
      assert.equal((await whoami(visitor)).status, 200)
      await untilTime(expiry())
      assert.equal((await whoami(visitor)).status, 200)
      assert.equal(provider.redemptions, 2)
      assert.deepEqual(unharmed(), UNHARMED)
    })

    test(`${which}: while one request renews ahead of time the others go on with the token that still lives`, async (t) => {
      const { signedIn, whoami, provider, unharmed, redeemed } = await open(t, Subject, { accessTokenLifetime: 9 })
      const visitor = await signedIn()
      const { token } = (await whoami(visitor)).json()
      const hold = provider.holdNextTokenRequest()
      let held = false
      hold.arrived.then(() => (held = true))
      const pending = []
      await until('the renewal to reach the provider', () => pending.push(whoami(visitor)) && held, { within: 9_000, every: 200 })

      const others = await Promise.all(Array.from({ length: 10 }, () => whoami(visitor)))
      assert.deepEqual(others.map((answer) => [answer.status, answer.json().token]), Array(10).fill([200, token]))
      hold.release()
      await redeemed(1)
      for (const answer of await Promise.all(pending)) assert.equal(answer.status, 200, answer.text)
      await until('the new token', async () => (await whoami(visitor)).json().token !== token)
      assert.equal(provider.redemptions, 1)
      assert.deepEqual(unharmed(), UNHARMED)
    })

    test(`${which}: an old cookie stays signed in, at once and generations later`, async (t) => {
      const { signedIn, whoami, provider, unharmed, expiry } = await open(t, Subject, { accessTokenLifetime: 3 })
      const visitor = await signedIn()
      const old = visitor.clone()
      for (const generation of [1, 2, 3]) {
        await untilTime(expiry())
        assert.equal((await whoami(visitor)).status, 200)
        assert.equal(provider.redemptions, generation)

        const newest = (await whoami(visitor)).json().token
        const answer = await whoami(old.clone())
        assert.equal(answer.status, 200, answer.text)
        assert.equal(answer.json().token, newest, 'the old cookie is answered with the newest generation')
        assert.equal(provider.redemptions, generation, 'and no refresh token was sent for it')
      }
      assert.equal((await old.fetch('/auth/session')).json().user.name, 'Alice Adams')
      assert.deepEqual(unharmed(), UNHARMED)
    })

    for (const { outage, begin, end } of OUTAGES) {
      test(`${which}: an outage is sat out: the provider ${outage}`, async (t) => {
        const { signedIn, whoami, provider, subject, unharmed, expiry } = await open(t, Subject, { accessTokenLifetime: 4 })
        const visitor = await signedIn()
        const dies = expiry()
        await begin(provider)
        // The margin of one second is the provider's: it counts lifetimes in whole seconds.
        while (Date.now() < dies - 1000) {
          const answer = await visitor.fetch(subject.bearerPath)
          assert.equal(answer.status, 200, `the token still lives: ${answer.text}`)
          await untilTime(Date.now() + 100)
        }
        await untilTime(dies)
        const refusal = await visitor.fetch(subject.bearerPath)
        assert.equal(refusal.status, 503, refusal.text)
        assert.match(refusal.headers['retry-after'], /^[1-9][0-9]*$/)
        assert.match(refusal.headers['content-type'], /^application\/json/)
        const page = await visitor.page(subject.bearerPath)
        assert.deepEqual([page.status, page.headers.location], [503, undefined], 'an outage never looks like being signed out')
        assert.ok(provider.faults <= 10, `${provider.faults} attempts are a hammering`)

        await end(provider)
        const recovered = await until(
          'the session to recover',
          async () => {
            const answer = await whoami(visitor)
            assert.ok([200, 503].includes(answer.status), `${answer.status} ${answer.text}`)
            return answer.status === 200 && answer
          },
          { within: 60_000, every: 250 },
        )
        assert.equal(recovered.json().sub, 'alice')
        assert.equal(provider.tokenCalls.filter(({ grant }) => grant === 'authorization_code').length, 1, 'nobody signed in again')
        assert.equal(provider.redemptions, 1)
        assert.deepEqual(unharmed(), UNHARMED)
      })
    }

    test(`${which}: a caller who hangs up in the middle loses nothing`, async (t) => {
      const { signedIn, whoami, provider, unharmed, expiry, redeemed } = await open(t, Subject, { accessTokenLifetime: 3 })
      const visitor = await signedIn()
      await untilTime(expiry())
      const hold = provider.holdNextTokenRequest()
      const caller = new AbortController()
      const lost = whoami(visitor.clone(), { signal: caller.signal })
      await hold.arrived
      caller.abort()
      await assert.rejects(lost, { name: 'AbortError' })
      hold.release()
      await redeemed(1)
      const answer = await whoami(visitor)
      assert.equal(answer.status, 200, answer.text)
      assert.equal(provider.redemptions, 1, 'the renewal went on without its caller, and its tokens were kept')
      assert.deepEqual(unharmed(), UNHARMED)
    })

    test(`${which}: sessions survive a crash of the process, stale cookies too`, async (t) => {
      const { signedIn, whoami, provider, unharmed, expiry, subject } = await open(t, Subject, { accessTokenLifetime: 3 })
      const visitor = await signedIn()
      const old = visitor.clone()
      await untilTime(expiry())
      assert.equal((await whoami(visitor)).status, 200)
      await subject.crashAndRestart()
      const answer = await whoami(old)
      assert.equal(answer.status, 200, answer.text)
      await untilTime(expiry())
      assert.equal((await whoami(visitor)).status, 200)
      assert.equal(provider.redemptions, 2)
      assert.deepEqual(unharmed(), UNHARMED)
    })

    test(`${which}: after signing out neither the cookie nor a copy of it opens anything`, async (t) => {
      const { signedIn, whoami, provider } = await open(t, Subject, { accessTokenLifetime: 60 })
      const visitor = await signedIn()
      const copy = visitor.clone()
      const { csrfToken } = (await visitor.fetch('/auth/csrf')).json()
      const answer = await visitor.postForm('/auth/signout', { csrfToken, callbackUrl: '/' })
      assert.equal(answer.status, 302, answer.text)
      assert.deepEqual(visitor.sessionCookies(), [])
      assert.equal((await whoami(visitor)).status, 401)
      assert.equal((await whoami(copy)).status, 401)
      assert.equal((await copy.fetch('/auth/session')).text, 'null')
      assert.equal((await copy.postJson('/auth/refresh')).status, 401)
      assert.equal(provider.redemptions, 0)
      await until('the grant to be handed back to the provider', () => provider.returnedGrants === 1)
    })
  })
}
