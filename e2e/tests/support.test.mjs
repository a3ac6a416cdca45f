// The suite's own instruments, checked against each other before anything is measured with them.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'

import { barriers, launchBrowser, openPage } from '../support/browser.mjs'
import { ForeignProvider } from '../support/foreign-provider.mjs'
import { send } from '../support/http.mjs'
import { Upstream } from '../support/upstream.mjs'
import { Visitor } from '../support/visitor.mjs'
import { until, untilTime } from '../support/wait.mjs'

const CALLBACK = 'http://127.0.0.1:9/callback'
let provider

before(async () => (provider = await ForeignProvider.start({ redirectUris: [CALLBACK], accessTokenLifetime: 2 })))
after(() => provider.stop())

const part = (value) => new URLSearchParams({ '': value }).toString().slice(1)

/** RFC 6749 §2.3.1: id and secret are form-urlencoded before they are joined. */
function tokenRequest(fields) {
  const basic = Buffer.from(`${part(provider.clientId)}:${part(provider.clientSecret)}`).toString('base64')
  return send(`${provider.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  })
}

/** The authorization-code flow by hand, up to the tokens. */
async function signIn(visitor = new Visitor(provider.issuer)) {
  const verifier = randomBytes(32).toString('base64url')
  const query = new URLSearchParams({
    client_id: provider.clientId,
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: 'openid profile email offline_access',
    prompt: 'consent',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  let answer = await visitor.page(`/auth?${query}`)
  while (!answer.headers.location?.startsWith(CALLBACK)) {
    assert.ok(answer.headers.location, `${answer.status} ${answer.text}`)
    answer = await visitor.page(new URL(answer.headers.location, answer.url).href)
  }
  const code = new URL(answer.headers.location).searchParams.get('code')
  const tokens = await tokenRequest({ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier })
  assert.equal(tokens.status, 200, tokens.text)
  return tokens.json()
}

const refresh = (refresh_token) => tokenRequest({ grant_type: 'refresh_token', refresh_token })

test('the foreign provider rotates at every refresh and counts it', async () => {
  const first = await signIn()
  const before = provider.redemptions
  const second = (await refresh(first.refresh_token)).json()
  assert.notEqual(second.refresh_token, first.refresh_token)
  assert.notEqual(second.access_token, first.access_token)
  assert.equal(provider.redemptions, before + 1)
})

test('a spent refresh token revokes the grant, and both counters show it', async () => {
  const first = await signIn()
  const second = (await refresh(first.refresh_token)).json()
  const { revokedGrants, refused } = provider
  assert.equal((await refresh(first.refresh_token)).status, 400)
  assert.ok(provider.revokedGrants > revokedGrants)
  assert.equal(provider.refused, refused + 1)
  assert.equal((await refresh(second.refresh_token)).status, 400, 'the family is dead')
})

test('access tokens live as short as told, and the upstream asks the provider', async () => {
  const upstream = await Upstream.start(provider)
  try {
    const { access_token, expires_in } = await signIn()
    const expiry = Date.now() + expires_in * 1000
    assert.equal(expires_in, 2)
    const whoami = () => send(`${upstream.url}/whoami`, { headers: { authorization: `Bearer ${access_token}` } })
    assert.equal((await whoami()).json().sub, 'alice')
    await untilTime(expiry + 1)
    assert.equal((await whoami()).status, 401)
    assert.equal((await send(`${upstream.url}/whoami`)).status, 401)
  } finally {
    await upstream.stop()
  }
})

test('the token endpoint can be broken, held, taken down and mended', async () => {
  const { refresh_token } = await signIn()
  provider.breakTokenEndpoint(503)
  assert.equal((await refresh(refresh_token)).status, 503)
  assert.equal(provider.faults, 1)
  provider.mend()

  await provider.down()
  await assert.rejects(refresh(refresh_token), { code: 'ECONNREFUSED' })
  await provider.up()

  const hold = provider.holdNextTokenRequest()
  const answer = refresh(refresh_token)
  await hold.arrived
  assert.equal(await Promise.race([answer, Promise.resolve('held')]), 'held')
  hold.release()
  assert.equal((await answer).status, 200)
})

test('the browser loads a page and its complaints are heard', async () => {
  const browser = await launchBrowser()
  try {
    const { page, complaints } = await openPage(browser)
    await page.goto('data:text/html,<h1>hello</h1>')
    assert.equal(await page.textContent('h1'), 'hello')
    assert.deepEqual(complaints, [])
    await page.evaluate(() => console.error('a complaint'))
    assert.deepEqual(complaints.map(({ kind }) => kind), ['console'])

    const response = { contentType: 'text/html', headers: { 'content-security-policy': "script-src 'none'" } }
    await page.route('http://example.test/', (route) => route.fulfill({ ...response, body: '<html><title>x</title><script>1</script><img src="data:,"></html>' }))
    await page.goto('http://example.test/')
    await until('the violation', () => complaints.some(({ kind }) => kind === 'policy'))
    assert.match((await barriers(page)).join('\n'), /image-alt/)
  } finally {
    await browser.close()
  }
})
