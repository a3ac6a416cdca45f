// examples/sveltekit, or e2e/kit2, as it is built, with the gateway before it or behind it, at the development provider.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { send } from './http.mjs'
import { PERENNIAL, Program, freePort, newSecret, temporaryFolder } from './processes.mjs'
import { Visitor } from './visitor.mjs'
import { until } from './wait.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const example = path.join(root, 'examples/sveltekit')

/** The applications that can be opened: what Node runs, and what it needs in its environment to answer at `url`. */
export const EXAMPLE = { name: 'sveltekit', script: path.join(example, 'serve.mjs'), environment: () => ({}) }
export const KIT_2 = { name: 'kit2', script: path.join(root, 'e2e/kit2/build/index.js'), environment: (url) => ({ HOST: '127.0.0.1', ORIGIN: url }) }

/** What `harm()` says when there was none. */
export const UNHARMED = { lost: [], refused: [] }

/** Both ways to set the application up; `url` is where browsers go. */
export const MODES = ['before', 'behind']

/** Provider, gateway and application on ports of their own, ended with the test `t`. */
export async function openExample(t, mode, { accessTokenLifetime = '4s', application = EXAMPLE } = {}) {
  const [providerPort, gatewayPort, appPort] = [await freePort(), await freePort(), await freePort()]
  const [gatewayUrl, appUrl] = [`http://127.0.0.1:${gatewayPort}`, `http://127.0.0.1:${appPort}`]
  const url = mode === 'before' ? appUrl : gatewayUrl
  const [clientSecret, backendSecret, secret] = [newSecret(), newSecret(), newSecret()]
  const name = `${application.name}-${mode}-${appPort}`

  const provider = new DevelopmentProvider(providerPort, `${name}-provider`, { url, clientSecret, accessTokenLifetime })
  t.after(() => provider.stop())
  await provider.start()

  const config = path.join(temporaryFolder(), 'perennial.toml')
  writeFileSync(config, configuration(mode, { url, gatewayPort, appUrl, providerPort }))
  const environment = { AUTH_SECRET: secret, CLIENT_SECRET: clientSecret, ...(mode === 'before' && { AUTH_BACKEND_SECRET: backendSecret }) }
  const gateway = new Restartable(() => new Program(`${name}-gateway`, PERENNIAL, ['serve', '--config', config], { env: environment }), `${gatewayUrl}/readyz`)
  t.after(() => gateway.stop())
  await gateway.start()

  const where = mode === 'before' ? { PERENNIAL_GATEWAY: gatewayUrl, AUTH_BACKEND_SECRET: backendSecret } : { PERENNIAL_ISSUER: gatewayUrl, PERENNIAL_AUDIENCE: appUrl }
  const app = new Program(name, process.execPath, [application.script], {
    env: { PORT: String(appPort), UPSTREAM_API: `${provider.issuer}/api`, ...where, ...application.environment(url) },
  })
  t.after(() => app.stop())
  await app.ready(`${appUrl}/login`)

  return {
    mode,
    url,
    appUrl,
    gatewayUrl,
    provider,
    gateway,
    app,
    backendSecret,
    secret,
    /** Somebody who has signed in by the form on the application's page. */
    async signedIn(id = 'auth0') {
      const visitor = new Visitor(url)
      const answer = await signIn(visitor, id)
      if (answer.status !== 200) throw new Error(`signing in ended at ${answer.url} with ${answer.status}: ${answer.text}\n${gateway.program.log}\n${app.log}`)
      return visitor
    },
  }
}

/** Posts the sign-in form of /login and follows to the account page. */
export async function signIn(visitor, id = 'auth0', redirectTo = '/account') {
  const begun = await visitor.postForm('/login', { providerId: id, redirectTo, 'authorizationParams-login_hint': 'alice' })
  if (begun.status !== 303) throw new Error(`the sign-in form answered ${begun.status}: ${begun.text}`)
  return visitor.visit(begun.headers.location)
}

/** The example's own configuration, on this test's ports. */
function configuration(mode, { url, gatewayPort, appUrl, providerPort }) {
  const file = readFileSync(path.join(example, mode === 'before' ? 'perennial.toml' : 'perennial.behind.toml'), 'utf8')
  const replaced = file
    .replace(/^listen = .*$/m, `listen = "127.0.0.1:${gatewayPort}"`)
    .replace(/^public_url = .*$/m, `public_url = "${url}"`)
    .replace(/^upstream = .*$/m, `upstream = "${appUrl}"`)
    .replaceAll('127.0.0.1:4201', `127.0.0.1:${providerPort}`)
  return replaced
}

/** A program that a test may end and start again on the same port. */
class Restartable {
  #make
  #sign

  constructor(make, sign) {
    this.#make = make
    this.#sign = sign
  }

  async start() {
    this.program = this.#make()
    await this.program.ready(this.#sign)
  }

  stop = () => this.program?.stop()
}

/** `perennial provider`, and what it counted. */
class DevelopmentProvider extends Restartable {
  constructor(port, name, { url, clientSecret, accessTokenLifetime }) {
    const issuer = `http://127.0.0.1:${port}`
    const callbacks = ['auth0', 'custom'].flatMap((id) => ['--redirect-uri', `${url}/auth/callback/${id}`])
    const parameters = ['provider', '--listen', `127.0.0.1:${port}`, '--access-token-lifetime', accessTokenLifetime, '--auto-sign-in', ...callbacks]
    super(() => new Program(name, PERENNIAL, parameters, { env: { PERENNIAL_PROVIDER_CLIENT_SECRET: clientSecret } }), `${issuer}/.well-known/openid-configuration`)
    this.issuer = issuer
  }

  /** What has happened at its token endpoint. */
  async state() {
    return (await send(`${this.issuer}/admin/state`)).json()
  }

  async redemptions() {
    return (await this.state()).counters.refreshes_committed
  }

  /** Families that ended although nobody signed out, and answers that refused a refresh token. */
  async harm() {
    const { counters, families } = await this.state()
    const lost = families.filter(({ alive, revoked }) => !alive && revoked !== 'revoked_by_client').map(({ revoked }) => revoked)
    const refused = Object.keys(counters.outcomes).filter((outcome) => /^rejected|reuse_detected/.test(outcome))
    return { lost, refused }
  }

  async misbehave(faults) {
    const answer = await send(`${this.issuer}/admin/faults`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(faults) })
    if (answer.status !== 200) throw new Error(`the provider took no faults: ${answer.text}`)
  }

  mend = () => send(`${this.issuer}/admin/reset`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"only":"faults"}' })

  redeemed = (count) => until(`redemption ${count}`, async () => (await this.redemptions()) >= count, { within: 30_000 })
}
