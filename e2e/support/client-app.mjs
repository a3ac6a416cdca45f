// An app that knows nothing of sessions but what Auth.js's own client tells it, behind the gateway on public routes.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

import { ForeignProvider } from './foreign-provider.mjs'
import { PERENNIAL, Program, freePort, newSecret, temporaryFolder } from './processes.mjs'
import { Visitor } from './visitor.mjs'

const clients = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../clients')

/** The page's script, with the client that `alias` names, exactly as it came from npm. */
async function bundle({ entry, alias = {}, basePath }) {
  const { outputFiles } = await build({
    entryPoints: [path.join(clients, entry)],
    alias: { '$app/paths': path.join(clients, 'app-paths.mjs'), ...alias },
    bundle: true,
    define: { 'process.env': '{}', 'process.env.NODE_ENV': '"production"', __BASE_PATH__: JSON.stringify(basePath) },
    format: 'esm',
    logLevel: 'silent',
    write: false,
  })
  return outputFiles[0].text
}

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>An app</title><link rel="icon" href="data:,">
<div id="root"></div><script type="module" src="/client.js"></script></html>`

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><circle cx="20" cy="20" r="18" fill="#fc0"/><path d="M12 21l6 6 11-13" fill="none" stroke="#000" stroke-width="4"/></svg>`

/** The app: any path is the page, but for its script and its logo. */
async function serve(script) {
  const port = await freePort()
  const server = http.createServer((request, response) => {
    if (request.url === '/client.js') return response.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
    if (request.url === '/logo.svg') return response.writeHead(200, { 'content-type': 'image/svg+xml' }).end(LOGO)
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${port}`, stop: () => (server.closeAllConnections(), server.close()) }
}

/**
 * Provider, app and gateway, ended with the test `t`. `settings` is TOML for the top of the gateway's file, `more` for its end.
 */
export async function openApp(t, { entry, alias, basePath = '/auth', accessTokenLifetime = 60, secret = newSecret(), redirectUris = [], settings = '', more = '' }) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const provider = await ForeignProvider.start({ redirectUris: [`${url}${basePath}/callback/oidc`, ...redirectUris], accessTokenLifetime })
  t.after(() => provider.stop())
  const app = await serve(entry ? await bundle({ entry, alias, basePath }) : '')
  t.after(() => app.stop())
  const folder = temporaryFolder()
  const file = path.join(folder, 'perennial.toml')
  writeFileSync(
    file,
    `listen = "127.0.0.1:${port}"
public_url = "${url}"
base_path = "${basePath}"
store = "${path.join(folder, 'sessions.redb')}"
${settings}
[[providers]]
preset = "oidc"
issuer = "${provider.issuer}"
client_id = "${provider.clientId}"
client_secret_env = "PROVIDER_SECRET"
[[routes]]
upstream = "${app.url}"
access = "public"
[[routes]]
path = "/members"
upstream = "${app.url}"
${more}`,
  )
  const env = { AUTH_SECRET: secret, PROVIDER_SECRET: provider.clientSecret, RUST_LOG: 'info' }
  const gateway = new Program(t.name.replaceAll(/[^a-zA-Z0-9]+/g, '-'), PERENNIAL, ['serve', '--config', file], { env })
  t.after(() => gateway.stop())
  await gateway.ready(`${url}/readyz`)
  return { url, base: `${url}${basePath}`, provider, gateway, secret, visitor: () => new Visitor(url) }
}
