// What is asked of every proxy with forward-auth. `tests/forward-auth-*.test.mjs` plays it with each.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { test } from 'node:test'

import { openBehind } from './forward-auth.mjs'
import { send } from './http.mjs'
import { until, untilTime } from './wait.mjs'

const EXPIRIES = 10
const STORM = 50

export function scenarios(Proxy) {
  const { kind } = Proxy

  test(`${kind}: a page load signs in and comes back, a script is told 401, and signing out is the end`, async (t) => {
    const scene = await openBehind(t, Proxy, { accessTokenLifetime: 60 })
    const visitor = scene.visitor()
    const refusal = await visitor.fetch('/deep')
    assert.deepEqual([refusal.status, refusal.json().error], [401, 'not_signed_in'])
    assert.equal(refusal.headers.location, undefined)
    assert.equal(scene.app.seen.length, 0, 'the application knows nothing of it')

    const answer = await scene.visit(visitor, '/deep/%C3%BC?keep=this&and=%2F')
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.url, `${scene.url}/deep/%C3%BC?keep=this&and=%2F`, 'back at the page that was asked for')
    const told = answer.json()
    assert.equal(told.url, '/deep/%C3%BC?keep=this&and=%2F', 'the application sees it as it was asked for')
    assert.equal(told.token, 200, 'the provider takes the access token')
    assert.equal(told.headers['x-forwarded-user'], 'alice')
    assert.equal(told.headers['x-forwarded-email'], 'alice@example.test')

    const session = (await visitor.fetch('/auth/session')).json()
    assert.equal(session.user.email, 'alice@example.test')
    assert.equal((await visitor.postJson('/auth/signout')).status, 302)
    assert.equal((await visitor.fetch('/deep')).status, 401)
    assert.equal(new URL((await visitor.page('/deep')).headers.location).origin, scene.provider.issuer)
  })

  test(`${kind}: what a browser claims to be does not reach the application, nor do our cookies`, async (t) => {
    const scene = await openBehind(t, Proxy, { accessTokenLifetime: 60 })
    const claims = {
      'x-forwarded-user': 'mallory', 'x-forwarded-email': 'mallory@example.com', 'x-forwarded-preferred-username': 'mallory',
      'x-forwarded-groups': 'admins', 'x-forwarded-access-token': 'mallory', 'x-perennial-session': 'mallory', 'x-perennial-identity': 'mallory',
      'x-auth-request-user': 'mallory', 'x-auth-request-email': 'mallory@example.com', 'x-auth-request-access-token': 'mallory',
      'remote-user': 'mallory', forwarded: 'for=mallory', x_forwarded_user: 'mallory', x_perennial_session: 'mallory', remote_user: 'mallory', 'x.forwarded.user': 'mallory',
      'x-forwarded-method': 'DELETE', 'x-forwarded-uri': '/public', 'x-forwarded-host': 'mallory.example',
    }
    const forged = { ...claims, authorization: 'Bearer mallory' }
    const alice = await scene.signedIn()
    await alice.jar.setCookie('theme=dark; Path=/', scene.url)

    const required = await alice.fetch('/private', { headers: forged })
    assert.equal(required.status, 200, required.text)
    assert.doesNotMatch(required.text, /mallory|DELETE/)
    assert.deepEqual([required.json().headers['x-forwarded-user'], required.json().token], ['alice', 200])
    assert.match(required.json().headers.cookie, /theme=dark/)
    assert.doesNotMatch(required.json().headers.cookie, /authjs/, 'ours stay out')

    const stranger = scene.visitor()
    for (const open of ['/open', '/public']) {
      const answer = await stranger.fetch(open, { headers: claims })
      assert.equal(answer.status, 200, answer.text)
      assert.doesNotMatch(answer.text, /mallory|DELETE/, open)
      // An application may have an Authorization of its own, where ours is not required.
      assert.equal((await stranger.fetch(open, { headers: forged })).json().headers.authorization, 'Bearer mallory', open)
    }
    assert.equal((await stranger.fetch('/private', { headers: forged })).status, 401, 'another path in a header opens nothing')
    assert.equal((await stranger.fetch('/public/..%2fprivate', { headers: forged })).status, 400)
  })

  test(`${kind}: ${EXPIRIES} access tokens expire, and every request is good`, async (t) => {
    const scene = await openBehind(t, Proxy)
    const alice = await scene.signedIn()
    const tokens = new Set()
    for (let expired = 1; expired <= EXPIRIES; expired += 1) {
      await untilTime(scene.expiry())
      const answer = await alice.fetch('/whoami')
      assert.deepEqual([answer.status, answer.json().token], [200, 200], `after ${expired} expiries: ${answer.text}`)
      tokens.add(answer.json().headers.authorization)
    }
    assert.deepEqual([tokens.size, scene.redemptions(), scene.refusals()], [EXPIRIES, EXPIRIES, 0])
    assert.ok(alice.cookies().some(({ key }) => key === 'theirs'), "the application's own cookies arrive beside ours")
  })

  test(`${kind}: a renewed session reaches the browser, and nothing is set that did not change`, async (t) => {
    const scene = await openBehind(t, Proxy)
    const alice = await scene.signedIn()
    const cookie = () => alice.sessionCookies().map(({ value }) => value).join()
    const before = cookie()
    await untilTime(scene.expiry())
    assert.equal((await alice.fetch('/whoami')).status, 200)
    assert.notEqual(cookie(), before, 'the proxy hands on what the gateway set')
    const renewed = cookie()
    assert.equal((await alice.fetch('/whoami')).status, 200)
    assert.equal(cookie(), renewed, 'and sets nothing that did not change')
  })

  test(`${kind}: ${STORM} requests at expiry are one redemption`, async (t) => {
    const scene = await openBehind(t, Proxy)
    const alice = await scene.signedIn()
    await untilTime(scene.expiry())
    const tabs = Array.from({ length: STORM }, () => alice.clone())
    const answers = await Promise.all(tabs.map((tab) => tab.fetch('/whoami')))
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    assert.equal(new Set(answers.map((answer) => answer.json().headers.authorization)).size, 1)
    assert.deepEqual([scene.redemptions(), scene.refusals()], [1, 0])
  })

  test(`${kind}: an outage of the provider signs nobody out`, async (t) => {
    const scene = await openBehind(t, Proxy, { accessTokenLifetime: 4 })
    const alice = await scene.signedIn()
    await scene.provider.behave({ grant: 'refresh_token', respond_status: 503 })
    assert.equal((await alice.fetch('/whoami')).json().token, 200, 'the living token serves')
    await untilTime(scene.expiry())
    const data = await alice.fetch('/whoami')
    assert.deepEqual([data.status, data.json().error], [503, 'renewal_suspended'])
    assert.ok(Number(data.headers['retry-after']) >= 1, JSON.stringify(data.headers))
    const page = await alice.page('/whoami')
    assert.equal(page.status, 503)
    assert.match(page.headers['content-type'], /^text\/html/)
    assert.ok(page.headers.refresh, 'a page that tries again by itself')
    const posted = await alice.postJson('/whoami', { kept: true })
    assert.equal(posted.status, 503)
    assert.ok(alice.sessionCookies().length > 0, 'the session stays')

    await scene.provider.behave({ respond_status: null })
    const answer = await until('a good answer', async () => {
      const answer = await alice.fetch('/whoami')
      return answer.status === 200 && answer
    }, { within: 20_000, every: 100 })
    assert.equal(answer.json().token, 200)
    assert.equal(scene.refusals(), 0)
  })

  test(`${kind}: bodies arrive as they were sent, and those of strangers nowhere`, async (t) => {
    const scene = await openBehind(t, Proxy, { accessTokenLifetime: 60 })
    const alice = await scene.signedIn()
    const body = randomBytes(700_000)
    const sha256 = createHash('sha256').update(body).digest('hex')
    for (const method of ['POST', 'PUT', 'PATCH']) {
      const answer = await alice.fetch('/upload?x=1', { method, body, headers: { 'content-type': 'application/octet-stream' } })
      assert.equal(answer.status, 200, answer.text)
      const told = answer.json()
      assert.deepEqual([told.method, told.url, told.bytes, told.sha256], [method, '/upload?x=1', body.length, sha256])
    }
    const before = scene.app.seen.length
    const refused = await scene.visitor().fetch('/upload', { method: 'POST', body, headers: { 'content-type': 'application/octet-stream' } })
    assert.deepEqual([refused.status, refused.json().error], [401, 'not_signed_in'])
    assert.equal(scene.app.seen.length, before)
  })

  test(`${kind}: what the application itself refuses is its own affair`, async (t) => {
    const scene = await openBehind(t, Proxy, { accessTokenLifetime: 60 })
    const alice = await scene.signedIn()
    for (const status of [302, 401, 403, 404, 500, 503]) {
      const answer = await alice.page(`/status/${status}`)
      assert.equal(answer.status, status)
      assert.equal(answer.json().url, `/status/${status}`, 'as it answered')
      assert.ok(alice.sessionCookies().length > 0)
    }
  })

  test(`${kind}: an upgrade goes through with the session, and not without`, async (t) => {
    const scene = await openBehind(t, Proxy, { accessTokenLifetime: 60 })
    const alice = await scene.signedIn()
    const socket = await upgraded(`${scene.url}/socket`, await alice.jar.getCookieString(scene.url))
    t.after(() => socket.destroy())
    socket.write('hello')
    const [back] = await once(socket, 'data')
    assert.equal(back.toString(), 'hello')
    const seen = scene.app.seen.find(({ url }) => url === '/socket')
    assert.equal(seen.headers['x-forwarded-user'], 'alice')
    assert.match(seen.headers.authorization, /^Bearer /)
    assert.equal(seen.headers.cookie, undefined)
    await assert.rejects(upgraded(`${scene.url}/socket`), /401/)
  })

  test(`${kind}: where it asks is out of reach from outside`, async (t) => {
    const scene = await openBehind(t, Proxy, { accessTokenLifetime: 60 })
    const alice = await scene.signedIn()
    for (const address of ['/_perennial/verdict', `/${kind}`, `/${kind}/answer`, '/auth/forward', '/auth/../nginx']) {
      const { headers } = await alice.fetch(address, { headers: { 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/', 'x-forwarded-host': new URL(scene.url).host } })
      assert.equal(headers.authorization, undefined, address)
      assert.equal(headers['x-forwarded-user'], undefined, address)
    }
    // The gateway itself answers nobody who does not say what he asks about.
    const bare = await send(`http://127.0.0.1:${scene.ports.forwardAuth}/${kind}`)
    assert.deepEqual([bare.status, kind === 'nginx' || bare.json().error], [400, kind === 'nginx' || 'bad_original'])
  })
}

/** A connection after `101 Switching Protocols`. */
function upgraded(url, cookie) {
  return new Promise((resolve, reject) => {
    const headers = {
      connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64'),
      'sec-fetch-mode': 'websocket', 'sec-fetch-dest': 'websocket', 'sec-fetch-site': 'same-origin',
      ...(cookie && { cookie: cookie.split('; ').filter((pair) => pair.includes('authjs')).join('; ') }),
    }
    const request = http.get(url, { headers, agent: false })
    request.once('upgrade', (_, socket) => resolve(socket))
    request.once('response', (response) => {
      response.resume()
      reject(new Error(`no upgrade, but ${response.statusCode}`))
    })
    request.once('error', reject)
  })
}
