// One provider for all subjects: `perennial provider`, whose access tokens outlive every round.

import { PERENNIAL, Program, freePort, newSecret } from '../../e2e/support/processes.mjs'

const LIFETIME = '12h'

export async function startProvider() {
  const port = await freePort()
  const provider = { issuer: `http://127.0.0.1:${port}`, clientId: 'bench', clientSecret: newSecret() }
  // Any port of a loopback host is good: the provider heeds RFC 8252 §7.3.
  const paths = ['/auth/callback/oidc', '/redirect_uri'].flatMap((path) => ['http', 'https'].map((scheme) => `${scheme}://127.0.0.1${path}`))
  const program = new Program('bench-provider', PERENNIAL, [
    'provider', '--listen', `127.0.0.1:${port}`, '--client-id', provider.clientId, '--auto-sign-in', '--access-token-lifetime', LIFETIME,
    ...paths.flatMap((one) => ['--redirect-uri', one]),
  ], { env: { PERENNIAL_LOG: 'warn', PERENNIAL_PROVIDER_CLIENT_SECRET: provider.clientSecret } })
  await program.ready(`${provider.issuer}/.well-known/openid-configuration`)
  return Object.assign(provider, { stop: () => program.stop() })
}
