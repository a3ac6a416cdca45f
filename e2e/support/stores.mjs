// The stores behind several gateways: real servers, each in a folder and on a port of its own, ended by process id.

import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { Program, freePort, output, temporaryFolder } from './processes.mjs'
import { until } from './wait.mjs'

/** A file of the one gateway that uses it. */
export class EmbeddedFile {
  shared = false
  url = path.join(temporaryFolder(), 'sessions.redb')
  static start = async () => new EmbeddedFile()
  stop = async () => {}
}

/** `redis-server` that acknowledges a write when it is on disk. */
export class Redis {
  shared = true
  folder = temporaryFolder()

  static async start(name, options = []) {
    const self = new Redis()
    self.name = name
    self.options = options
    self.port = await freePort()
    self.url = `redis://127.0.0.1:${self.port}`
    return self.up()
  }

  async up() {
    const settings = ['--port', this.port, '--bind', '127.0.0.1', '--dir', this.folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always']
    this.program = new Program(`${this.name}-redis-${this.port}`, 'redis-server', [...settings, ...this.options].map(String))
    await until('redis-server to answer', async () => (await this.command('PING')) === 'PONG')
    return this
  }

  command = async (...words) => (await output(`${this.name}-redis-cli`, 'redis-cli', ['-p', this.port, ...words].map(String))).trim()

  /** Gone without a goodbye; what it acknowledged is in its append-only file. */
  async down() {
    this.program.kill('SIGKILL')
    await this.program.exited
  }

  stop = () => this.program.stop()
}

/**
 * A Redis primary with two replicas, and three Sentinels that name another primary when it is gone. A write counts when one replica has it
 * (`wait_replicas`), and Sentinel names the replica that has most: what was acknowledged outlives the primary.
 */
export class RedisSentinel {
  shared = true
  #nodes
  #sentinels

  static async start(name) {
    const self = new RedisSentinel()
    const primary = await Redis.start(`${name}-1`, PROMPTLY)
    const follow = (n) => Redis.start(`${name}-${n}`, [...PROMPTLY, '--replicaof', `127.0.0.1 ${primary.port}`])
    self.#nodes = [primary, ...(await Promise.all([2, 3].map(follow)))]
    self.#sentinels = await Promise.all([1, 2, 3].map((n) => self.#sentinel(`${name}-sentinel-${n}`, primary.port)))
    await self.#settled('the sentinels to know each other and both replicas')
    self.url = `redis+sentinel://${self.#sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/sessions?wait_replicas=1`
    return self
  }

  async #sentinel(name, primary) {
    const port = await freePort()
    const folder = temporaryFolder()
    const file = path.join(folder, 'sentinel.conf')
    writeFileSync(file, [
      `port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `sentinel monitor sessions 127.0.0.1 ${primary} 2`,
      'sentinel down-after-milliseconds sessions 1000', 'sentinel failover-timeout sessions 5000', '',
    ].join('\n'))
    const program = new Program(name, 'redis-sentinel', [file])
    const ask = async (...words) => (await output(`${name}-cli`, 'redis-cli', ['-p', port, ...words].map(String))).trim()
    await until(`${name} to answer`, async () => (await ask('PING')) === 'PONG')
    return { port, program, ask }
  }

  /** Each Sentinel names the same primary and knows all others, and both other nodes follow it. */
  #settled(what) {
    return until(what, async () => {
      const primary = await this.#named()
      const known = await Promise.all(this.#sentinels.map((one) => one.ask('SENTINEL', 'MASTER', 'sessions')))
      if (!known.every((text) => /num-other-sentinels\s+2\b/.test(text) && /num-slaves\s+2\b/.test(text))) return false
      const others = this.#nodes.filter((node) => node !== primary)
      const linked = await Promise.all(others.map((node) => node.command('INFO', 'replication')))
      return primary && linked.every((text) => text.includes(`master_port:${primary.port}`) && text.includes('master_link_status:up'))
    }, { within: 60_000, every: 100 })
  }

  /** The node that all Sentinels name, if they agree. */
  async #named() {
    const named = await Promise.all(this.#sentinels.map((one) => one.ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'sessions')))
    return this.#nodes.find((node) => named.every((text) => text.split(/\s+/)[1] === String(node.port)))
  }

  /** The primary dies; the Sentinels name another; the dead one comes back and follows it. */
  async failOver() {
    const dead = await this.#named()
    await dead.down()
    await until('the sentinels to name another', async () => {
      const named = await this.#named()
      return named && named !== dead
    }, { within: 60_000, every: 100 })
    await dead.up()
    await this.#settled('the old primary to follow the new one')
  }

  async stop() {
    await Promise.all([...this.#sentinels.map(({ program }) => program.stop()), ...this.#nodes.map((node) => node.stop())])
  }
}

/** A replica that asks for everything is given it at once, not after a time in which others might ask as well. */
const PROMPTLY = ['--repl-diskless-sync-delay', '0']

/** A PostgreSQL cluster of its own. It refuses to run as root, so that root starts it as somebody else. */
export class Postgres {
  shared = true
  folder = temporaryFolder()

  static async start(name) {
    const self = new Postgres()
    self.name = name
    self.port = await freePort()
    self.url = `postgres://sessions@127.0.0.1:${self.port}/postgres`
    self.data = path.join(self.folder, 'data')
    mkdirSync(self.data)
    if (process.getuid() === 0) [self.folder, self.data].forEach((folder) => chownSync(folder, NOBODY, NOBODY))
    await output(`${name}-initdb`, ...self.#as(binary('initdb'), ['-D', self.data, '-U', 'sessions', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync']))
    return self.up()
  }

  async up() {
    const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=${this.folder}`, '-c', 'recovery_init_sync_method=syncfs']
    this.program = new Program(`${this.name}-postgres`, ...this.#as(binary('postgres'), ['-D', this.data, '-p', String(this.port), ...settings]))
    await until('PostgreSQL to answer', async () => {
      await output(`${this.name}-pg-isready`, binary('pg_isready'), ['-h', '127.0.0.1', '-p', String(this.port)])
      return true
    }, { within: 30_000 })
    return this
  }

  /** Immediate shutdown: connections are cut and the next start recovers from the log, as after a crash. */
  async down() {
    this.program.kill('SIGQUIT')
    await this.program.exited
  }

  stop = () => this.program.stop({ signal: 'SIGINT' })

  #as(command, parameters) {
    if (process.getuid() !== 0) return [command, parameters]
    return ['setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', command, ...parameters]]
  }
}

/** `nobody` and `nogroup` of Debian. */
const NOBODY = 65_534

/** Debian keeps the server's programs out of the path, in a folder for each version. */
function binary(name) {
  const versions = '/usr/lib/postgresql'
  const found = existsSync(versions) ? readdirSync(versions).sort((a, b) => b - a).map((version) => path.join(versions, version, 'bin', name)) : []
  return found.find((one) => existsSync(one)) ?? name
}
