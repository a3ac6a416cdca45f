// Ourselves: the gateway, the gateway asked by nginx, and the library in an axum app.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { PERENNIAL, Program, freePort, newSecret, temporaryFolder } from '../../e2e/support/processes.mjs'
import { IN_A_FOLDER, Nginx } from './nginx.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
/** Built beside the gateway. */
export const BENCH = path.join(path.dirname(PERENNIAL), 'perennial-bench')

const table = (rows) => Object.entries(rows).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join('\n')

/** All requests come from one address here, in more connections than one address has by default. */
export const LIMITS = { connections_per_address: 4_096 }

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
    '[limits]', table(LIMITS),
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

const example = path.join(root, 'examples/nginx/nginx.conf')

/** nginx before the app, which asks the gateway, as our example has it. Browsers see nginx alone. */
export async function startForwardAuth({ app, provider }) {
  const [port, questions] = [await freePort(), `127.0.0.1:${await freePort()}`]
  const gateway = await startGateway({ app, provider, publicUrl: `http://127.0.0.1:${port}`, tops: `[forward_auth]\nlisten = "${questions}"` })
  const configuration = readFileSync(example, 'utf8')
    .replace('/run/nginx.pid', 'nginx.pid')
    .replace(/access_log .*;/, IN_A_FOLDER)
    .replace('worker_connections 1024', 'worker_connections 8192')
    .replace('127.0.0.1:4200', gateway.address)
    .replace('127.0.0.1:4210', questions)
    .replace('127.0.0.1:3000', app.address)
    .replace(/keepalive \d+;/g, 'keepalive 512; keepalive_requests 1000000000;')
    .replace('listen 80;', `listen 127.0.0.1:${port} backlog=4096; location = /healthy { return 200; }`)
  const asking = await Nginx.run('asking', () => configuration, { health: `http://127.0.0.1:${port}/healthy` })
  return { url: `http://127.0.0.1:${port}`, pids: [...asking.pids, ...gateway.pids], stop: async () => (await asking.stop(), await gateway.stop()) }
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
