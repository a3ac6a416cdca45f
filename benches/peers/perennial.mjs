// Ourselves: the gateway, the gateway asked by nginx, and the library in an axum app.

import path from 'node:path'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { PERENNIAL, Program, freePort, newSecret, temporaryFolder } from '../../e2e/support/processes.mjs'
import { startAsking } from './nginx.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
export const BENCH = process.env.PERENNIAL_BENCH_BIN ?? path.join(root, 'target/release/perennial-bench')

const table = (rows) => Object.entries(rows).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join('\n')

/** `perennial serve` before the app; `tops` are further lines of its file. */
export async function startGateway({ app, provider, tls, publicUrl, tops = '', store }) {
  const port = await freePort()
  const folder = temporaryFolder()
  const address = `127.0.0.1:${port}`
  const url = publicUrl ?? `${tls ? 'https' : 'http'}://${address}`
  const admin = await freePort()
  const file = path.join(folder, 'perennial.toml')
  writeFileSync(file, [
    table({ listen: address, public_url: url, store: store ?? path.join(folder, 'sessions.redb') }),
    '[admin]', table({ listen: `127.0.0.1:${admin}` }),
    ...(tls ? ['[tls]', table({ cert_file: tls.certificate, key_file: tls.key })] : []),
    tops,
    '[[providers]]', table({ issuer: provider.issuer, client_id: provider.clientId, client_secret_env: 'CLIENT_SECRET', scope: 'openid profile email offline_access' }),
    '[[routes]]', table({ upstream: app.url }),
  ].join('\n'))
  const began = performance.now()
  const program = new Program('bench-gateway', PERENNIAL, ['serve', '--config', file], {
    env: { AUTH_SECRET: newSecret(), CLIENT_SECRET: provider.clientSecret, PERENNIAL_LOG: 'warn' },
  })
  await program.ready(`http://127.0.0.1:${admin}/readyz`, { every: 1 })
  return { url, address, pids: [program.pid], started: performance.now() - began, stop: () => program.stop() }
}

/** What this build can do is what its documentation tells of. */
const documented = (page, text) => {
  try {
    return readFileSync(path.join(root, 'docs', page), 'utf8').includes(text)
  } catch {
    return false
  }
}

export const servesTls = () => documented('configuration.md', '[tls]')
export const answersForwardAuth = () => documented('forward-auth.md', FORWARD_AUTH)
const FORWARD_AUTH = '/auth/forward'

/** nginx before the app, which asks the gateway. Browsers see nginx alone. */
export async function startForwardAuth({ app, provider }) {
  const port = await freePort()
  const gateway = await startGateway({ app, provider, publicUrl: `http://127.0.0.1:${port}`, tops: '[forward_auth]\nenabled = true' })
  const asking = await startAsking({ app, gateway, port, endpoint: FORWARD_AUTH })
  return { url: asking.url, pids: [...asking.pids, ...gateway.pids], stop: async () => (await asking.stop(), await gateway.stop()) }
}

/** An axum app that answers by itself, with the session layer or, to tell what that costs, without. */
export async function startLibrary({ provider, layer = true }) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const program = new Program(`bench-axum${layer ? '' : '-bare'}`, BENCH, ['app', '--port', String(port), ...(layer ? [] : ['--bare'])], {
    env: {
      AUTH_SECRET: newSecret(), AUTH_OIDC_ISSUER: provider.issuer, AUTH_OIDC_ID: provider.clientId, AUTH_OIDC_SECRET: provider.clientSecret,
      AUTH_OIDC_SCOPE: 'openid profile email offline_access',
    },
  })
  await program.ready(`${url}/healthz`)
  return { url, pids: [program.pid], stop: () => program.stop() }
}
