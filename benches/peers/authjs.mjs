// Auth.js in SvelteKit with adapter-node, both from npm: the application of `authjs/`, which calls the app with its user's token.

import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { Program, freePort, newSecret } from '../../e2e/support/processes.mjs'

const script = path.join(path.dirname(fileURLToPath(import.meta.url)), '../authjs/build/index.js')

export async function startAuthJs({ app, provider }) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const program = new Program('bench-authjs', process.execPath, [script], {
    env: {
      HOST: '127.0.0.1', PORT: String(port), ORIGIN: url, NODE_ENV: 'production', AUTH_SECRET: newSecret(), AUTH_TRUST_HOST: 'true',
      ISSUER: provider.issuer, CLIENT_ID: provider.clientId, CLIENT_SECRET: provider.clientSecret, UPSTREAM: app.url,
    },
  })
  await program.ready(`${url}/healthy`)
  return { url, pids: [program.pid], stop: () => program.stop(), signIn: '/auth/signin/oidc' }
}
