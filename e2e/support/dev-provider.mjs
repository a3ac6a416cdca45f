// The development provider as a process of its own: its class is what we say, its faults strike when we say, and it tells what it saw.

import http from 'node:http'

import { PERENNIAL, Program, freePort } from './processes.mjs'
import { send } from './http.mjs'
import { Witness } from './witness.mjs'

export class DevProvider extends Witness {
  clientId = 'proof'
  clientSecret = 'the secret of the proof'

  /** Answers 200 to a living access token of its own and 401 to any other: the provider is the app as well. */
  resource = '/api'

  #last
  #stream

  get upstream() {
    return this.issuer
  }

  /** `accessTokenLifetime` in seconds; `behaviour` is a script, such as `class=overlap:60,delay_ms=5`. */
  static async start({ name, publicUrl, accessTokenLifetime = 60, behaviour = '' }) {
    const self = new DevProvider()
    const port = await freePort()
    self.issuer = `http://127.0.0.1:${port}`
    self.program = new Program(`${name}-provider`, PERENNIAL, [
      'provider', '--listen', `127.0.0.1:${port}`, '--client-id', self.clientId, '--client-secret', self.clientSecret, '--auto-sign-in',
      '--redirect-uri', `${publicUrl}/auth/callback/oidc`, '--access-token-lifetime', `${accessTokenLifetime}s`, '--behaviour', behaviour,
    ], { env: { PERENNIAL_LOG: 'warn' } })
    await self.program.ready(`${self.issuer}/.well-known/openid-configuration`)
    await self.#listen()
    return self
  }

  /** Follows the event stream; a gap in it would be a hole in the evidence, so it ends the process. */
  #listen() {
    return new Promise((resolve, reject) => {
      this.#stream = http.get(`${this.issuer}/admin/events`, { agent: false }, (response) => {
        response.setEncoding('utf8')
        let text = ''
        response.on('data', (part) => {
          const blocks = (text + part).split('\n\n')
          text = blocks.pop()
          for (const block of blocks) {
            const data = block.split('\n').find((line) => line.startsWith('data:'))
            if (data) this.#heard(JSON.parse(data.slice('data:'.length)))
          }
        })
        // It ends with the provider, sooner or later.
        response.on('error', () => {})
        resolve()
      })
      this.#stream.once('error', reject)
    })
  }

  #heard(event) {
    if (this.#last !== undefined && event.sequence !== this.#last + 1) {
      throw new Error(`the provider's events ${this.#last + 1} to ${event.sequence - 1} were missed: the evidence has a hole`)
    }
    this.#last = event.sequence
    if (event.kind === 'token') this.tell(event)
  }

  /** Everything it knows: counters, and families as chains of refresh tokens. */
  async state() {
    return (await send(`${this.issuer}/admin/state`)).json()
  }

  /** Changes its behaviour: docs/provider.md, Faults. */
  async behave(patch) {
    const answer = await send(`${this.issuer}/admin/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(patch),
    })
    if (answer.status !== 200) throw new Error(answer.text)
  }

  async stop() {
    this.#stream.destroy()
    return this.program.stop()
  }
}
