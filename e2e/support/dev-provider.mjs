// The development provider as a process of its own: its class is what we say, its faults strike when we say, and it tells what it saw.

import http from 'node:http'

import { PERENNIAL, Program, freePort } from './processes.mjs'
import { send } from './http.mjs'
import { until } from './wait.mjs'

export class DevProvider {
  clientId = 'proof'
  clientSecret = 'the secret of the proof'

  /** What the token endpoint did, oldest first: `{ at_ms, family, serial, outcome, duration_ms }`; docs/provider.md. */
  events = []
  #listeners = new Set()
  #last
  #stream

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
    if (event.kind === 'token') this.events.push(event)
    for (const listener of [...this.#listeners]) listener(event)
  }

  /** The next event that `wanted` accepts. To be asked for before what brings it about. */
  next(what, wanted, { within = 30_000 } = {}) {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer)
        this.#listeners.delete(listener)
      }
      const listener = (event) => {
        if (!wanted(event)) return
        done()
        resolve(event)
      }
      const timer = setTimeout(() => {
        done()
        reject(new Error(`waited ${within} ms in vain for the provider to tell of ${what}`))
      }, within)
      this.#listeners.add(listener)
    })
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

/** Whether a refresh token was redeemed, whether or not the answer arrived. */
export const isRedemption = ({ outcome }) => outcome === 'rotated' || outcome === 'reply_lost' || outcome?.startsWith('reused_ok') === true

/** Whether a refresh token was refused. */
export const isRefusal = ({ outcome }) => outcome?.startsWith('rejected') === true || outcome === 'reuse_detected_family_revoked'
