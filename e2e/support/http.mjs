// A plain HTTP client that hides nothing: no redirects followed, no headers of its own, answers read whole.

import http from 'node:http'
import https from 'node:https'
import net from 'node:net'

/**
 * Sends one request and reads the whole answer: `{ status, headers, setCookies, text, json() }`.
 * `headers` may hold arrays for repeated fields; what is `undefined` is left out. An aborted `signal` hangs up.
 * Each request has a connection of its own unless there is an `agent`. `authority` is whose certificates are believed, in PEM.
 */
export function send(url, { method = 'GET', headers = {}, body, signal, timeout = 30_000, agent = false, authority } = {}) {
  return new Promise((resolve, reject) => {
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
    const { request: begin } = String(url).startsWith('https:') ? https : http
    const request = begin(url, { method, headers: sent, signal, agent, ca: authority, maxHeaderSize: 256 << 10 })
    request.setTimeout(timeout, () => request.destroy(new Error(`${method} ${url}: no answer within ${timeout} ms`)))
    request.once('error', reject)
    request.once('response', (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.once('error', reject)
      response.once('end', () => {
        const text = Buffer.concat(parts).toString('utf8')
        resolve({
          url: String(url),
          status: response.statusCode,
          headers: response.headers,
          setCookies: response.headers['set-cookie'] ?? [],
          text,
          json: () => JSON.parse(text),
        })
      })
    })
    request.end(body)
  })
}

/** Writes `bytes` to a port as they are and reads until the other side hangs up: for what no client would send. */
export function sendRaw(port, bytes, { timeout = 10_000 } = {}) {
  return new Promise((resolve, reject) => {
    const parts = []
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setTimeout(timeout, () => socket.destroy(new Error('the other side neither answered to the end nor hung up')))
    socket.on('data', (part) => parts.push(part))
    // A refusal may reset the connection while we still write; what came before the reset is the answer.
    socket.once('error', (error) => (parts.length > 0 ? resolve(parse(parts)) : reject(error)))
    socket.once('end', () => resolve(parse(parts)))
  })
}

function parse(parts) {
  const text = Buffer.concat(parts).toString('latin1')
  const [head, ...rest] = text.split('\r\n\r\n')
  const [line, ...fields] = head.split('\r\n')
  const headers = Object.fromEntries(fields.map((field) => field.split(/:\s*/, 2)).map(([name, value]) => [name.toLowerCase(), value]))
  return { status: Number(line.split(' ')[1]), headers, text: rest.join('\r\n\r\n') }
}
