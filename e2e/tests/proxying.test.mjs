// What passes through the gateway besides requests and answers: WebSocket, streams of events, gRPC. Clients and servers are those
// of npm `ws` and `@grpc/grpc-js`, which nobody here wrote, and node's own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { test } from 'node:test'

import grpc from '@grpc/grpc-js'
import { WebSocket, WebSocketServer } from 'ws'

import { temporaryFolder } from '../support/processes.mjs'
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

const bytes = (text) => Buffer.from(text)
const method = (name, requestStream, responseStream) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: String,
  responseSerialize: bytes,
  responseDeserialize: String,
})
const ECHO = {
  say: method('Say', false, false),
  count: method('Count', false, true),
  watch: method('Watch', false, true),
  talk: method('Talk', true, true),
}
const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo')

/** A service of gRPC behind a gateway that takes HTTP/2 without TLS, and speaks it with the service. */
async function grpcScene(t) {
  const seen = {}
  const server = new grpc.Server()
  server.addService(ECHO, {
    say(call, answer) {
      seen.metadata = call.metadata.getMap()
      const trailer = new grpc.Metadata()
      trailer.set('x-sum', '42')
      if (call.request !== 'no') return answer(null, call.request.toUpperCase(), trailer)
      answer({ code: grpc.status.FAILED_PRECONDITION, details: 'größer', metadata: trailer })
    },
    count(call) {
      for (let number = 1; number <= Number(call.request); number += 1) call.write(String(number))
      call.end()
    },
    watch: (call) => call.write('first'),
    talk(call) {
      call.on('data', (word) => call.write(word.toUpperCase()))
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port))),
  )
  t.after(() => server.forceShutdown())
  class Subject extends GatewaySubject {
    constructor(settings) {
      const { port: listen, store, upstream } = settings
      const config = path.join(temporaryFolder(), 'perennial.toml')
      writeFileSync(
        config,
        `listen = "127.0.0.1:${listen}"
public_url = "http://127.0.0.1:${listen}"
store = "${store}"
http2 = true
[[upstreams]]
name = "echo"
urls = ["http://127.0.0.1:${port}"]
protocol = "h2"
[[routes]]
path = "/test.Echo/"
upstream = "echo"
[[routes]]
upstream = "${upstream.url}"
`,
      )
      super({ ...settings, config })
    }
  }
  const stage = await open(t, Subject, { accessTokenLifetime: 3_600 })
  const client = new Echo(new URL(stage.url).host, grpc.credentials.createInsecure())
  t.after(() => client.close())
  return { seen, client, ...stage }
}

async function signedInMetadata(stage, visitor) {
  const metadata = new grpc.Metadata()
  metadata.set('cookie', await visitor.jar.getCookieString(stage.url))
  return metadata
}

/** The status with which a call ends. It is told as an error, too, where it is one. */
const ending = (call) => new Promise((resolve) => call.on('error', () => {}).on('status', resolve))

test('gRPC: calls and streams pass, and so do status and trailers', async (t) => {
  const stage = await grpcScene(t)
  const { client, seen } = stage
  const metadata = await signedInMetadata(stage, await stage.signedIn())
  const said = (word, metadata) =>
    new Promise((resolve) => {
      let told
      const call = client.say(word, metadata, (error, answer) => (told = { error, answer }))
      call.on('status', (status) => setImmediate(() => resolve({ ...told, status })))
    })

  const good = await said('grüße', metadata)
  assert.deepEqual([good.answer, good.status.code, good.status.metadata.get('x-sum')], ['GRÜSSE', 0, ['42']])
  assert.equal(seen.metadata['x-forwarded-user'], 'alice')
  assert.match(seen.metadata.authorization, /^Bearer /)
  assert.doesNotMatch(seen.metadata.cookie ?? '', /session-token/)

  const refused = await said('no', metadata)
  assert.deepEqual(
    [refused.status.code, refused.status.details, refused.status.metadata.get('x-sum')],
    [grpc.status.FAILED_PRECONDITION, 'größer', ['42']],
  )

  const numbers = []
  const counting = client.count('1000', metadata)
  counting.on('data', (number) => numbers.push(number))
  assert.equal((await ending(counting)).code, grpc.status.OK)
  assert.deepEqual(numbers, Array.from({ length: 1000 }, (_, at) => String(at + 1)))

  const talk = client.talk(metadata)
  const end = ending(talk)
  for (const word of ['one', 'two', 'three']) {
    const answer = once(talk, 'data')
    talk.write(word)
    assert.deepEqual(await answer, [word.toUpperCase()], 'answered while the stream of requests is open')
  }
  talk.end()
  assert.equal((await end).code, grpc.status.OK)

  assert.equal((await said('hello', new grpc.Metadata())).status.code, grpc.status.UNAUTHENTICATED)
  assert.deepEqual(stage.unharmed(), UNHARMED)
})

test('gRPC: a stream ends with UNAUTHENTICATED when its session is signed out', async (t) => {
  const stage = await grpcScene(t)
  const alice = await stage.signedIn()
  const call = stage.client.watch('all', await signedInMetadata(stage, alice))
  const end = ending(call)
  assert.deepEqual(await once(call, 'data'), ['first'])
  await signOut(alice)
  assert.equal((await end).code, grpc.status.UNAUTHENTICATED)
})
