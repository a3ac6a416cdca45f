// Forward-auth with Debian's nginx and the ready configuration in examples/nginx.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { describe, test } from 'node:test'

import { Nginx, openBehind } from '../support/forward-auth.mjs'
import { scenarios } from '../support/forward-auth-scenarios.mjs'
import { untilTime } from '../support/wait.mjs'

// Each test mostly waits for tokens to die, and shares nothing with its neighbours.
describe('nginx', { concurrency: 4 }, () => {
  scenarios(Nginx)

  test('nginx: renewals persist in the record although Set-Cookie is dropped', async (t) => {
    const change = (text) => text.replaceAll(/^ *add_header Set-Cookie .*$/gm, '')
    const scene = await openBehind(t, Nginx, { change })
    const alice = await scene.signedIn()
    const first = alice.sessionCookies().map(({ value }) => value)
    for (let expired = 1; expired <= 3; expired += 1) {
      await untilTime(scene.expiry())
      const answer = await alice.fetch('/whoami')
      assert.deepEqual([answer.status, answer.json().token], [200, 200], `after ${expired} expiries: ${answer.text}`)
    }
    assert.deepEqual(alice.sessionCookies().map(({ value }) => value), first, 'the browser has the cookie of the sign-in')
    assert.deepEqual([scene.redemptions(), scene.refusals()], [3, 0])
  })

  test('nginx: each of many cookies arrives, beside those of the application', async (t) => {
    const scene = await openBehind(t, Nginx, { accessTokenLifetime: 60 })
    const alice = await scene.signedIn()
    // In place of the gateway, with a session that fills as many cookies as a session ever does, and leaves three others behind.
    await scene.gateway.stop()
    const lines = Array.from({ length: 8 }, (_, index) => `chunk.${index}=${'x'.repeat(3936)}; Path=/; HttpOnly`)
    const numbered = Object.fromEntries(lines.map((line, index) => [`x-perennial-set-cookie-${index + 1}`, line]))
    const standIn = http.createServer((_, response) => response.writeHead(200, numbered).end())
    standIn.listen(scene.ports.forwardAuth, '127.0.0.1')
    await once(standIn, 'listening')
    t.after(() => standIn.close())
    const answer = await alice.fetch('/whoami')
    assert.equal(answer.status, 200, answer.text)
    assert.deepEqual(answer.setCookies.toSorted(), [...lines, 'theirs=1; Path=/'])
  })

  test('nginx: a gateway that is down is an error of the proxy, and no sign-out', async (t) => {
    const scene = await openBehind(t, Nginx, { accessTokenLifetime: 60 })
    const alice = await scene.signedIn()
    await scene.gateway.stop()
    const answer = await alice.fetch('/whoami')
    assert.equal(answer.status, 502, answer.text)
    assert.ok(alice.sessionCookies().length > 0)
  })
})
