// The programs under test, started as a user starts them and ended by their process id.

import { spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { send } from './http.mjs'
import { until } from './wait.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

export const PERENNIAL = process.env.PERENNIAL_BIN ?? path.join(root, 'target/debug/perennial')
export const EXAMPLE_AXUM = process.env.EXAMPLE_AXUM_BIN ?? path.join(root, 'target/debug/example-axum')
export const ARTIFACTS = process.env.E2E_ARTIFACTS ?? path.join(root, 'target/ci-artifacts')

const running = new Set()
process.on('exit', () => running.forEach((one) => one.kill('SIGKILL')))

const handedOut = new Set()

/**
 * A port of the loopback interface that nobody listens on, from below the range that the kernel takes for outgoing connections,
 * so that none of ours sits on it when its owner comes up or comes back.
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    if (handedOut.has(port)) continue
    const server = createServer()
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) {
      handedOut.add(port)
      return port
    }
  }
}

const folders = new Set()
process.on('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

/** A new folder that is removed when this test process ends. */
export function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'perennial-e2e-'))
  folders.add(folder)
  return folder
}

/** A secret as `openssl rand -base64 32` makes one. */
export const newSecret = () => randomBytes(32).toString('base64')

/** A child process whose output is kept, and written to a log beside the other artifacts. */
export class Program {
  #child
  #log = ''
  #file
  /** Settles with the exit code or the name of the signal. */
  exited

  /** `name` is the name of the log. Of our environment only PATH and HOME are passed on. */
  constructor(name, command, parameters, { env = {}, input } = {}) {
    mkdirSync(path.join(ARTIFACTS, 'e2e'), { recursive: true })
    this.#file = path.join(ARTIFACTS, 'e2e', `${name}.log`)
    this.#child = spawn(command, parameters, {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1', ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    this.stdout = ''
    this.#child.stdout.on('data', (data) => {
      this.stdout += data
      this.#keep(data)
    })
    this.#child.stderr.on('data', (data) => this.#keep(data))
    if (input !== undefined) this.#child.stdin.end(input)
    running.add(this)
    this.exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#keep(`${command}: ${error.message}\n`)
        resolve(error.code)
      })
      this.#child.once('close', (code, signal) => resolve(signal ?? code))
    }).finally(() => running.delete(this))
    this.exited.then((how) => (this.how = how))
    this.name = name
  }

  #keep(data) {
    this.#log += data
    appendFileSync(this.#file, data)
  }

  get pid() {
    return this.#child.pid
  }

  /** Everything printed so far, on both streams. */
  get log() {
    return this.#log
  }

  kill(signal) {
    if (this.#child.pid !== undefined && this.how === undefined) this.#child.kill(signal)
  }

  /** Ends the program as an operator would, and as the kernel would when that does not help in time. */
  async stop({ within = 10_000, signal = 'SIGTERM' } = {}) {
    this.kill(signal)
    const insist = setTimeout(() => this.kill('SIGKILL'), within)
    const how = await this.exited
    clearTimeout(insist)
    return how
  }

  /** Waits until `url` answers 200; fails at once when the program ends before that. */
  async ready(url, { within = 20_000, every = 25 } = {}) {
    await until(
      `${this.name} to answer at ${url}`,
      async () => {
        if (this.how !== undefined) return true
        const answer = await send(url, { timeout: 1_000 })
        return answer.status === 200
      },
      { within, every },
    ).catch((error) => {
      throw new Error(`${error.message}\n${this.#log}`, { cause: error })
    })
    if (this.how !== undefined) throw new Error(`${this.name} ended with ${this.how}:\n${this.#log}`)
    return this
  }
}

/** Runs a program to its end and answers what it printed. Fails on any exit code but 0. */
export async function output(name, command, parameters, options) {
  const program = new Program(name, command, parameters, options)
  const how = await program.exited
  if (how !== 0) throw new Error(`${command} ${parameters.join(' ')} ended with ${how}:\n${program.log}`)
  return program.stdout
}

/** What `perennial serve` needs from its environment to use `provider` under the id `oidc`. */
export function providerEnvironment(provider, secret) {
  return {
    AUTH_SECRET: secret,
    AUTH_OIDC_ISSUER: provider.issuer,
    AUTH_OIDC_ID: provider.clientId,
    AUTH_OIDC_SECRET: provider.clientSecret,
    AUTH_OIDC_SCOPE: 'openid profile email offline_access',
  }
}

/** The gateway in front of `upstream`, on its own port, with a store that outlives it. */
export class Gateway {
  /** With a file, if there is one, which says all; else by the quick start. */
  constructor({ provider, upstream, port, store, config, secret = newSecret(), env = {}, extra = [], name = 'gateway' }) {
    this.url = `http://127.0.0.1:${port}`
    this.secret = secret
    this.name = name
    const quick = ['--listen', `127.0.0.1:${port}`, '--public-url', this.url, '--upstream', upstream.url, '--store', store]
    this.#command = [
      ['serve', ...(config ? ['--config', config] : quick), ...extra],
      { env: { ...providerEnvironment(provider, secret), RUST_LOG: 'info', ...env } },
    ]
  }

  #command

  async start() {
    this.program = new Program(this.name, PERENNIAL, ...this.#command)
    await this.program.ready(`${this.url}/readyz`)
    return this
  }

  stop = () => this.program.stop()

  /** Dies without a goodbye and comes back with the same store, port and secret. */
  async crashAndRestart() {
    this.program.kill('SIGKILL')
    await this.program.exited
    return this.start()
  }
}
