// The app behind the gateway: knows nothing of sessions, asks the provider whether the bearer token that it was handed is good.

import { once } from 'node:events'
import http from 'node:http'

import { freePort } from './processes.mjs'
import { send } from './http.mjs'

export class Upstream {
  /** Requests seen, oldest first: `{ method, url, headers }`. */
  seen = []
  #server

  static async start(provider) {
    const self = new Upstream()
    self.provider = provider
    self.port = await freePort()
    self.url = `http://127.0.0.1:${self.port}`
    self.#server = http.createServer((request, response) => self.#answer(request, response))
    self.#server.listen(self.port, '127.0.0.1')
    await once(self.#server, 'listening')
    return self
  }

  /**
   * `/whoami` answers 200 with the provider's word on the token's owner, or 401 when the provider refuses the token.
   * Everything else answers 200 with what arrived.
   */
  async #answer(request, response) {
    const { method, url, headers } = request
    this.seen.push({ method, url, headers })
    const parts = []
    for await (const part of request) parts.push(part)
    const answer = (status, value) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (!url.startsWith('/whoami')) {
      return answer(200, { method, url, headers, body: Buffer.concat(parts).toString('utf8') })
    }
    const { authorization } = headers
    if (!authorization) return answer(401, { reason: 'no bearer token' })
    const userinfo = await send(`${this.provider.issuer}/me`, { headers: { authorization } }).catch(() => undefined)
    if (userinfo?.status === 401) response.setHeader('www-authenticate', 'Bearer error="invalid_token"')
    if (userinfo?.status !== 200) return answer(userinfo ? 401 : 502, { reason: 'the provider does not know this token' })
    answer(200, { ...userinfo.json(), token: authorization.replace(/^Bearer /, '') })
  }

  async stop() {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
