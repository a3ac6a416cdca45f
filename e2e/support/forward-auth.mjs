// A proxy that nobody here wrote in front of an application, with the ready configuration from examples/, and a gateway that it asks.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { DevProvider } from './dev-provider.mjs'
import { send } from './http.mjs'
import { PERENNIAL, Program, freePort, newSecret, temporaryFolder } from './processes.mjs'
import { Visitor } from './visitor.mjs'
import { isRedemption, isRefusal } from './witness.mjs'

const examples = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../examples')

/** All at once, so that no port is taken for a part of another. What is not there would leave a changed example quietly untested. */
function replaced(text, changes) {
  const missing = Object.keys(changes).filter((from) => !text.includes(from))
  if (missing.length > 0) throw new Error(`the example has no ${missing.join(', ')}`)
  const any = Object.keys(changes).map((from) => from.replaceAll(/[.{}]/g, '\\$&')).join('|')
  return text.replaceAll(new RegExp(any, 'g'), (from) => changes[from])
}

/** Debian's nginx with `examples/nginx/nginx.conf`, as one process, so that none of its workers outlives it. */
export class Nginx {
  static example = 'nginx/nginx.conf'
  static kind = 'nginx'

  static async start({ name, ports, change = (text) => text }) {
    const folder = temporaryFolder()
    // Its temporary files belong to the user that it becomes.
    chmodSync(folder, 0o711)
    const file = path.join(folder, 'nginx.conf')
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ')
    const text = replaced(readFileSync(path.join(examples, Nginx.example), 'utf8'), {
      '/run/nginx.pid': `${folder}/nginx.pid`,
      '/var/log/nginx/access.log': `${folder}/access.log`,
      'http {': `http { ${temporary}`,
      '127.0.0.1:4200': `127.0.0.1:${ports.gateway}`,
      '127.0.0.1:4210': `127.0.0.1:${ports.forwardAuth}`,
      '127.0.0.1:3000': `127.0.0.1:${ports.app}`,
      'listen 80;': `listen 127.0.0.1:${ports.proxy};`,
    })
    writeFileSync(file, change(text))
    return new Program(`${name}-nginx`, '/usr/sbin/nginx', ['-p', folder, '-c', file, '-e', 'stderr', '-g', 'daemon off; master_process off;'])
  }
}

/** Debian's Caddy with `examples/caddy/Caddyfile`, without its certificates. */
export class Caddy {
  static example = 'caddy/Caddyfile'
  static kind = 'caddy'

  static async start({ name, ports, change = (text) => text }) {
    const folder = temporaryFolder()
    const file = path.join(folder, 'Caddyfile')
    const text = replaced(readFileSync(path.join(examples, Caddy.example), 'utf8'), {
      'app.example {': `http://127.0.0.1:${ports.proxy} {`,
      '127.0.0.1:4200': `127.0.0.1:${ports.gateway}`,
      '127.0.0.1:4210': `127.0.0.1:${ports.forwardAuth}`,
      '127.0.0.1:3000': `127.0.0.1:${ports.app}`,
    })
    writeFileSync(file, `{\n\tadmin off\n}\n${change(text)}`)
    return new Program(`${name}-caddy`, 'caddy', ['run', '--config', file, '--adapter', 'caddyfile'], { env: { HOME: folder } })
  }
}

/**
 * The application: it knows nothing of sessions, tells what it got, and asks the provider whether the bearer token is good. `/status/418`
 * is answered with that status. It speaks no WebSocket, but it does agree to an upgrade, and gives back what comes after it.
 */
class App {
  seen = []
  #server
  #upgraded = new Set()

  static async start(provider, port) {
    const self = new App()
    self.provider = provider
    self.#server = http.createServer((request, response) => self.#answer(request, response))
    self.#server.on('upgrade', (request, socket) => {
      self.seen.push({ url: request.url, headers: request.headers })
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
      // Its server forgets a connection that was upgraded.
      self.#upgraded.add(socket)
      socket.on('error', () => {})
      socket.pipe(socket)
    })
    self.#server.listen(port, '127.0.0.1')
    await once(self.#server, 'listening')
    return self
  }

  async #answer(request, response) {
    const { method, url, headers } = request
    const hash = createHash('sha256')
    let bytes = 0
    for await (const part of request) {
      hash.update(part)
      bytes += part.length
    }
    const { authorization } = headers
    const judged = authorization && (await send(`${this.provider.issuer}${this.provider.resource}`, { headers: { authorization } }))
    this.seen.push({ method, url, headers })
    const [, status = 200] = url.match(/^\/status\/(\d+)/) ?? []
    response.writeHead(Number(status), { 'content-type': 'application/json', 'set-cookie': 'theirs=1; Path=/' })
    response.end(JSON.stringify({ method, url, headers, bytes, sha256: hash.digest('hex'), token: judged?.status }))
  }

  async stop() {
    this.#upgraded.forEach((socket) => socket.destroy())
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** Provider, gateway, application and `Proxy` in front, ended with the test `t`. `change` is done to the proxy's configuration. */
export async function openBehind(t, Proxy, { accessTokenLifetime = 2, change } = {}) {
  const name = t.name.replaceAll(/[^a-zA-Z0-9]+/g, '-')
  const ports = { proxy: await freePort(), gateway: await freePort(), forwardAuth: await freePort(), app: await freePort() }
  const url = `http://127.0.0.1:${ports.proxy}`
  const provider = await DevProvider.start({ name, publicUrl: url, accessTokenLifetime })
  t.after(() => provider.stop())
  const app = await App.start(provider, ports.app)
  t.after(() => app.stop())
  const gateway = await startGateway({ name, ports, url, provider })
  t.after(() => gateway.stop())
  const proxy = await Proxy.start({ name, ports, change })
  t.after(() => proxy.stop())
  await proxy.ready(`${url}/auth/providers`)

  const scene = {
    url, ports, provider, app, gateway, proxy,
    visitor: () => new Visitor(url),

    /** Follows the redirects of a page load, by way of the provider, where Alice signs in at once. */
    async visit(visitor, address) {
      let next = new URL(address, url)
      for (let step = 0; step < 10; step += 1) {
        if (next.origin === provider.issuer) next.searchParams.set('login_hint', 'alice')
        const answer = await visitor.page(next.href)
        if (![302, 303].includes(answer.status)) return answer
        next = new URL(answer.headers.location, next)
      }
      throw new Error(`more than ten redirects, the last to ${next.href}`)
    },

    async signedIn() {
      const visitor = new Visitor(url)
      const answer = await scene.visit(visitor, '/')
      if (answer.status !== 200) throw new Error(`signing in ended at ${answer.url} with ${answer.status}: ${answer.text}\n${gateway.log}`)
      return visitor
    },

    /** When the newest access token has died, by the provider's word, and a little later. */
    expiry: () => provider.events.findLast((event) => event.outcome === 'issued' || isRedemption(event)).at_ms + accessTokenLifetime * 1000 + 50,
    redemptions: () => provider.events.filter(isRedemption).length,
    refusals: () => provider.events.filter(isRefusal).length,
  }
  return scene
}

async function startGateway({ name, ports, url, provider }) {
  const file = path.join(temporaryFolder(), 'perennial.toml')
  const upstream = `http://127.0.0.1:${ports.app}`
  const route = (at, access) => `[[routes]]\npath = "${at}"\nupstream = "${upstream}"\naccess = "${access}"\n`
  writeFileSync(file, [
    `listen = "127.0.0.1:${ports.gateway}"\npublic_url = "${url}"\nstore = "memory:"\n`,
    `[forward_auth]\nlisten = "127.0.0.1:${ports.forwardAuth}"\n`,
    `[[providers]]\nissuer = "${provider.issuer}"\nclient_id = "${provider.clientId}"\nclient_secret_env = "CLIENT_SECRET"\nscope = "openid profile email offline_access"\n`,
    route('/', 'required'), route('/open', 'optional'), route('/public', 'public'),
  ].join('\n'))
  const env = { AUTH_SECRET: newSecret(), CLIENT_SECRET: provider.clientSecret, PERENNIAL_LOG: 'info' }
  const gateway = new Program(`${name}-gateway`, PERENNIAL, ['serve', '--config', file], { env })
  return gateway.ready(`http://127.0.0.1:${ports.gateway}/readyz`)
}
