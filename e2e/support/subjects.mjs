// What is put to the test: the gateway before an app, and the axum example with the library inside. One scenario runs against either.

import path from 'node:path'

import { ForeignProvider } from './foreign-provider.mjs'
import { EXAMPLE_AXUM, Gateway, Program, freePort, newSecret, providerEnvironment, temporaryFolder } from './processes.mjs'
import { Upstream } from './upstream.mjs'
import { Visitor } from './visitor.mjs'
import { until, untilTime } from './wait.mjs'

/**
 * A provider, an upstream and one subject, ended with the test `t`.
 * Each test has its own, so that the breaker or the counters of one never speak in another.
 */
export async function open(t, Subject, { accessTokenLifetime = 4, claimsInIdToken, extra = [] } = {}) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const provider = await ForeignProvider.start({ redirectUris: [`${url}/auth/callback/oidc`], accessTokenLifetime, claimsInIdToken })
  t.after(() => provider.stop())
  const upstream = await Upstream.start(provider)
  t.after(() => upstream.stop())
  const store = path.join(temporaryFolder(), 'sessions.redb')
  const name = t.name.replaceAll(/[^a-zA-Z0-9]+/g, '-')
  const subject = await new Subject({ provider, upstream, port, store, name, extra }).start()
  t.after(() => subject.stop())

  return {
    provider,
    upstream,
    subject,
    url,
    visitor: () => new Visitor(url),

    /** Somebody new who has just signed in by loading a page. */
    async signedIn() {
      const visitor = new Visitor(url)
      const answer = await visitor.visit(subject.whoamiPath)
      if (answer.status !== 200) throw new Error(`signing in ended at ${answer.url} with ${answer.status}: ${answer.text}\n${subject.log}`)
      return visitor
    },

    /** What the app knows of the visitor, through the bearer token that it was handed and asked the provider about. */
    whoami: (visitor, options) => visitor.fetch(subject.whoamiPath, options),

    /** When the newest access token dies, by the provider's word. */
    expiry: () => provider.tokenCalls.findLast(({ outcome }) => outcome === 'success').at + accessTokenLifetime * 1000,

    /** A second after the newest token came: between two renewals on demand lies at least that much. */
    settled: () => untilTime(provider.tokenCalls.findLast(({ outcome }) => outcome === 'success').at + 1_000),

    /** Nothing was lost: no spent refresh token was sent and no grant was revoked. */
    unharmed() {
      return { refused: provider.refused, revokedGrants: provider.revokedGrants, refusals: provider.refusals }
    },

    redeemed: (count) => until(`redemption ${count} at the provider`, () => provider.redemptions >= count),
  }
}

export const UNHARMED = { refused: 0, revokedGrants: 0, refusals: [] }

/** `perennial serve` before the upstream. */
export class GatewaySubject extends Gateway {
  /** Answers 200 with the provider's word on the bearer token's owner: `{ sub, token }`. */
  whoamiPath = '/whoami'
  /** Needs a living bearer token as well, and no provider to answer. */
  bearerPath = '/echo'

  get log() {
    return this.program.log
  }
}

/** examples/axum: the library in an app of one process. */
export class AxumSubject {
  whoamiPath = '/whoami'
  bearerPath = '/echo'

  constructor({ provider, upstream, port, store, name }) {
    this.url = `http://127.0.0.1:${port}`
    this.name = name
    this.environment = {
      ...providerEnvironment(provider, newSecret()),
      AUTH_URL: this.url,
      AUTH_STORE: store,
      PORT: String(port),
      UPSTREAM: new URL('/whoami', upstream.url).href,
      RUST_LOG: 'info',
    }
  }

  async start() {
    this.program = new Program(this.name, EXAMPLE_AXUM, [], { env: this.environment })
    await this.program.ready(`${this.url}/healthz`)
    return this
  }

  get log() {
    return this.program.log
  }

  stop = () => this.program.stop()

  async crashAndRestart() {
    this.program.kill('SIGKILL')
    await this.program.exited
    return this.start()
  }
}
