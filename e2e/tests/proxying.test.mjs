// What passes through the gateway besides requests and answers: WebSocket, streams of events, gRPC. Clients and servers are those
// of npm `ws` and `@grpc/grpc-js`, which nobody here wrote, and node's own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { test } from 'node:test'

import { WebSocket, WebSocketServer } from 'ws'

import { GatewaySubject, UNHARMED, open } from '../support/subjects.mjs'

/** An application with sockets and streams, behind a gateway of its own. */
async function scene(t) {
  const app = { closed: undefined, streams: 0 }
  const server = http.createServer((request, response) => {
    if (request.url !== '/events') return response.end('hello')
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n')
    app.streams += 1
    response.on('close', () => (app.streams -= 1))
  })
  const sockets = new WebSocketServer({ server, perMessageDeflate: true })
  sockets.on('connection', (socket, request) => {
    app.headers = request.headers
    app.closed = once(socket, 'close')
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.closeAllConnections())
  t.after(() => server.close())
  const url = `http://127.0.0.1:${server.address().port}`
  class Subject extends GatewaySubject {
    constructor(settings) {
      super({ ...settings, upstream: { url } })
    }
  }
  return { app, ...(await open(t, Subject, { accessTokenLifetime: 3_600 })) }
}

async function socket({ url }, visitor, options = {}) {
  const cookie = await visitor.jar.getCookieString(url)
  const client = new WebSocket(url.replace('http', 'ws'), { headers: { cookie, origin: url }, ...options })
  await once(client, 'open')
  return client
}

const signOut = async (visitor) => {
  const answer = await visitor.postForm('/auth/signout')
  assert.ok(answer.status < 400, answer.text)
}

test('WebSocket: messages of all kinds pass both ways, and a stranger opens none', async (t) => {
  const stage = await scene(t)
  const client = await socket(stage, await stage.signedIn())
  assert.equal(stage.app.headers['x-forwarded-user'], 'alice')
  assert.match(stage.app.headers.authorization, /^Bearer /)
  assert.doesNotMatch(stage.app.headers.cookie ?? '', /session-token/)
  const long = Buffer.alloc(1 << 20, 'perennial ')
  for (const [what, send, expected] of [
    ['text', () => client.send('grüße'), Buffer.from('grüße')],
    ['binary', () => client.send(long, { binary: true }), long],
    ['fragments', () => [client.send('one ', { fin: false }), client.send('two', { fin: true })], Buffer.from('one two')],
    ['nothing', () => client.send(''), Buffer.alloc(0)],
  ]) {
    const answer = once(client, 'message')
    send()
    const [data] = await answer
    assert.ok(expected.equals(data), what)
  }
  const pong = once(client, 'pong')
  client.ping('are you there')
  assert.equal(String((await pong)[0]), 'are you there')
  client.close(4321, 'bye')
  const [code, reason] = await stage.app.closed
  assert.deepEqual([code, String(reason)], [4321, 'bye'])

  const stranger = new WebSocket(stage.url.replace('http', 'ws'))
  const [, refused] = await once(stranger, 'unexpected-response')
  assert.equal(refused.statusCode, 401)
  assert.deepEqual(stage.unharmed(), UNHARMED)
})

test('WebSocket: when its session is signed out, both sides are told 1008, and nobody else is', async (t) => {
  const stage = await scene(t)
  const [alice, bob] = [await stage.signedIn(), await stage.signedIn()]
  const his = await socket(stage, bob)
  const hers = await socket(stage, alice)
  const [closed, told] = [once(hers, 'close'), stage.app.closed]
  await signOut(alice)
  for (const end of [closed, told]) {
    const [code, reason] = await end
    assert.deepEqual([code, String(reason)], [1008, 'session ended'])
  }
  const answer = once(his, 'message')
  his.send('still here')
  assert.equal(String((await answer)[0]), 'still here')
  his.terminate()
})

test('a stream of events comes as it is written, and ends when its session is signed out', async (t) => {
  const stage = await scene(t)
  const alice = await stage.signedIn()
  const cookie = await alice.jar.getCookieString(stage.url)
  const response = await fetch(`${stage.url}/events`, { headers: { cookie } })
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  assert.equal((await reader.read()).value, 'data: first\n\n')
  await signOut(alice)
  assert.equal((await reader.read()).done, true)
  const again = await fetch(`${stage.url}/events`, { headers: { cookie } })
  assert.equal(again.status, 401)
})
