// A provider that nobody here wrote: npm oidc-provider, rotating at every refresh; reuse of a spent refresh token revokes the grant.
// It runs in the test's own process, so that a test can count what it saw and break it at an exact moment.

import { once } from 'node:events'
import http from 'node:http'

import Provider from 'oidc-provider'

import { freePort } from './processes.mjs'
import { gate } from './wait.mjs'
import { Witness } from './witness.mjs'

/** In seconds. */
const MONTH = 30 * 86_400

const ACCOUNTS = { alice: 'Alice Adams', bob: 'Bob Baker' }

export class ForeignProvider extends Witness {
  clientId = 'perennial-e2e'
  clientSecret = 'a secret with spaces, 100 % & plus+signs/that must be form-urlencoded first'

  /** What the upstream behind the gateway answers with the provider's word on the bearer token. */
  resource = '/whoami'

  /** Answers of the token endpoint, oldest first: `{ grant, outcome, at }`, the outcome being `success` or the error code. */
  tokenCalls = []
  /** Grants revoked because a spent refresh token came again. Must stay 0. */
  revokedGrants = 0
  /** Grants revoked because the client asked for it, as it should at sign-out. */
  returnedGrants = 0
  /** Why refusals were refused, as the provider tells its own log. */
  refusals = []

  /** How often the token endpoint was broken for a caller. */
  faults = 0

  #fault = async () => false
  #server

  /**
   * `accessTokenLifetime` in seconds. `port` stays the same over outages.
   * `claimsInIdToken`: whether name and email are in the ID token too; OIDC Core §5.4 has them at the userinfo endpoint alone.
   */
  static async start({ redirectUris, accessTokenLifetime = 5, claimsInIdToken = true }) {
    const self = new ForeignProvider()
    self.port = await freePort()
    self.issuer = `http://127.0.0.1:${self.port}`
    self.provider = self.#configure(redirectUris, accessTokenLifetime, claimsInIdToken)
    await self.up()
    return self
  }

  #configure(redirectUris, accessTokenLifetime, claimsInIdToken) {
    const provider = new Provider(this.issuer, {
      clients: [
        {
          client_id: this.clientId,
          client_secret: this.clientSecret,
          redirect_uris: redirectUris,
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
          token_endpoint_auth_method: 'client_secret_basic',
        },
      ],
      rotateRefreshToken: () => true,
      ttl: { AccessToken: accessTokenLifetime, AuthorizationCode: 60, Grant: MONTH, IdToken: 3_600, Interaction: 600, RefreshToken: MONTH, Session: MONTH },
      claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
      scopes: ['openid', 'offline_access', 'profile', 'email'],
      // A token is dead the moment it expires, so that one served too long shows.
      clockTolerance: 0,
      conformIdTokenClaims: !claimsInIdToken,
      pkce: { required: () => true },
      cookies: { keys: ['only for tests'] },
      features: { devInteractions: { enabled: false }, revocation: { enabled: true }, introspection: { enabled: true } },
      interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
      findAccount: (_, id) => ({
        accountId: id,
        claims: () => ({ sub: id, name: ACCOUNTS[id] ?? id, email: `${id}@example.com`, email_verified: true }),
      }),
    })
    const note = (outcome) => (ctx, error) => {
      this.tokenCalls.push({ grant: ctx.oidc.params?.grant_type, outcome: outcome ?? error.error, at: Date.now() })
      if (error) this.refusals.push(error.error_detail ?? error.message)
      this.#witness(ctx, error)
    }
    provider.on('grant.success', note('success'))
    provider.on('grant.error', note())
    provider.on('grant.revoked', (ctx) => {
      if (ctx.oidc.route === 'revocation') this.returnedGrants += 1
      else this.revokedGrants += 1
    })
    provider.on('server_error', (_, error) => this.refusals.push(String(error.stack)))
    return provider
  }

  /** Tells of a token request in the words of the development provider. */
  #witness(ctx, error) {
    const { grant_type: grant } = ctx.oidc.params ?? {}
    const { Grant, RotatedRefreshToken, RefreshToken } = ctx.oidc.entities
    const spent = error ? RefreshToken : RotatedRefreshToken
    let outcome = 'issued'
    if (error) outcome = error.error_detail === 'refresh token already used' ? 'reuse_detected_family_revoked' : 'rejected'
    else if (grant === 'refresh_token') outcome = ctx.req.replyIsLost ? 'reply_lost' : 'rotated'
    const serial = grant === 'refresh_token' && spent ? (spent.rotations ?? 0) + 1 : null
    this.tell({ family: Grant?.jti ?? RefreshToken?.grantId ?? null, serial, outcome, at_ms: Date.now(), duration_ms: Date.now() - ctx.req.arrivedAt })
  }

  /** Refresh grants that were answered with tokens. */
  get redemptions() {
    return this.tokenCalls.filter(({ grant, outcome }) => grant === 'refresh_token' && outcome === 'success').length
  }

  /** Refresh grants that were refused: a spent, unknown or expired refresh token was sent. Must stay 0. */
  get refused() {
    return this.tokenCalls.filter(({ grant, outcome }) => grant === 'refresh_token' && outcome !== 'success').length
  }

  /** Listens (again) on the same port. */
  async up() {
    const handle = this.provider.callback()
    this.#server = http.createServer(async (request, response) => {
      if (request.url.startsWith('/interaction/')) return this.#signIn(request, response)
      request.arrivedAt = Date.now()
      if (request.url.startsWith('/token') && (await this.#fault(request, response))) return
      handle(request, response)
    })
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Refuses connections, as a provider that is down. */
  async down() {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  stop = () => this.down()

  /** The token endpoint answers `status` to everybody until `mend()`. */
  breakTokenEndpoint(status = 503, headers = {}) {
    this.#fault = async (_, response) => {
      this.faults += 1
      response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end('out of order')
      return true
    }
  }

  /** The next `times` token requests are carried out and their answers never arrive. */
  loseReplies(times) {
    this.#fault = async (request, response) => {
      if ((times -= 1) <= 0) this.mend()
      request.replyIsLost = true
      this.faults += 1
      response.write = () => true
      response.end = () => request.socket.destroy()
      return false
    }
  }

  /** The next `times` token requests are lost on the way: the connection breaks and nothing was done. */
  loseRequests(times) {
    this.#fault = async (request) => {
      if ((times -= 1) <= 0) this.mend()
      this.faults += 1
      request.socket.destroy()
      return true
    }
  }

  mend() {
    this.#fault = async () => false
  }

  /** Holds the next token request at the door: `arrived` settles when it is there, `release()` lets it in. */
  holdNextTokenRequest() {
    const arrived = gate()
    const released = gate()
    this.#fault = async () => {
      this.mend()
      arrived.open()
      await released.opened
      return false
    }
    return { arrived: arrived.opened, release: released.open }
  }

  /** Signs in the account of `login_hint`, else Alice, and consents to everything asked. */
  async #signIn(request, response) {
    const { provider } = this
    try {
      const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
      if (prompt.name === 'login') {
        const accountId = params.login_hint in ACCOUNTS ? params.login_hint : 'alice'
        return await provider.interactionFinished(request, response, { login: { accountId } }, { mergeWithLastSubmission: false })
      }
      const grant =
        (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
      grant.addOIDCScope(params.scope)
      await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
    } catch (error) {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error.stack))
    }
  }
}
