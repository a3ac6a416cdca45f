// Several gateways in front of one app, as behind a load balancer: one public URL, one secret, one store.

import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'

import { PERENNIAL, Program, freePort, newSecret, temporaryFolder } from './processes.mjs'
import { send } from './http.mjs'

export class Fleet {
  /** How many gateways were killed. */
  kills = 0

  /** The public URL is decided first, because the provider must know it before the gateways can know the provider. */
  static async place() {
    return `http://127.0.0.1:${await freePort()}`
  }

  /**
   * `refreshClass`, `renewal` and `limits` are what stands in the gateways' file; docs/configuration.md. `upstream` asks the provider about every
   * access token it is handed.
   */
  static async start({ name, publicUrl, store, provider, size = 1, refreshClass, renewal = {}, limits = {}, upstream, env = {} }) {
    const self = new Fleet()
    Object.assign(self, { name, publicUrl, store, provider, secret: newSecret(), env })
    const folder = temporaryFolder()
    const [refresh_class, window] = refreshClass.split(':')
    const provides = { issuer: provider.issuer, client_id: provider.clientId, client_secret_env: 'CLIENT_SECRET', scope: 'openid profile email offline_access', refresh_class }
    if (window) provides.refresh_window = `${window}s`
    const ports = [Number(new URL(publicUrl).port)]
    while (ports.length < size) ports.push(await freePort())
    self.gateways = ports.map((port, index) => {
      const file = path.join(folder, `gateway-${index + 1}.toml`)
      const top = { listen: `127.0.0.1:${port}`, public_url: publicUrl, store: store.url }
      writeFileSync(file, [toml(top), '[renewal]', toml(renewal), ...section('limits', limits), '[[providers]]', toml(provides), '[[routes]]', toml({ upstream })].join('\n'))
      return { index, file, url: `http://127.0.0.1:${port}`, alive: false }
    })
    await Promise.all(self.gateways.map((gateway) => self.up(gateway)))
    return self
  }

  async up(gateway) {
    const env = { AUTH_SECRET: this.secret, CLIENT_SECRET: this.provider.clientSecret, PERENNIAL_LOG: 'warn', ...this.env }
    gateway.program = new Program(`${this.name}-gateway-${gateway.index + 1}`, PERENNIAL, ['serve', '--config', gateway.file], { env })
    await gateway.program.ready(`${gateway.url}/readyz`, { within: 60_000, every: 5 })
    gateway.alive = true
    return gateway
  }

  /** SIGKILL: no goodbye, no drain. */
  async kill(gateway) {
    gateway.alive = false
    gateway.program.kill('SIGKILL')
    await gateway.program.exited
    this.kills += 1
  }

  /** One that is not known to be down, as a load balancer with health checks would choose. */
  any() {
    const alive = this.gateways.filter((gateway) => gateway.alive)
    return alive.length > 0 ? alive[randomInt(alive.length)] : this.gateways[0]
  }

  /** One request to a certain gateway under the public name. */
  request(gateway, address, { headers = {}, ...options } = {}) {
    return send(new URL(address, gateway.url), { ...options, headers: { host: new URL(this.publicUrl).host, ...headers } })
  }

  async stop() {
    return Promise.all(this.gateways.map(({ program }) => program.stop({ within: 40_000 })))
  }
}

const section = (name, table) => (Object.keys(table).length > 0 ? [`[${name}]`, toml(table)] : [])
const toml = (table) => Object.entries(table).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join('\n')
