// Somebody signed in on one browser with many tabs: a cookie jar that is cheap to copy, and what it was ever given.

import { PERENNIAL, Program, output } from './processes.mjs'

const FETCH = { accept: 'application/json', 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' }
const PAGE = { accept: 'text/html', 'sec-fetch-dest': 'document', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'none' }

export class Person {
  #cookies = new Map()
  /** Every Cookie header with a session that was ever current, oldest first: a tab that slept holds one of the older ones. */
  cookies = []
  /** Requests that broke off because their gateway died: `{ sent, broken }`, both in milliseconds. */
  cutOff = []

  /** Signs in as Alice and remembers which family of refresh tokens came of it. One after the other,
   * because the provider's word alone says which is whose. */
  static async signIn(fleet) {
    const turn = (fleet.turn ?? Promise.resolve()).then(() => Person.#signIn(fleet))
    fleet.turn = turn.catch(() => {})
    return turn
  }

  static async #signIn(fleet) {
    const self = new Person()
    self.fleet = fleet
    const issued = fleet.provider.next('tokens for a code', ({ outcome }) => outcome === 'issued')
    const gateway = fleet.any()
    let url = new URL(fleet.provider.resource, fleet.publicUrl)
    for (let step = 0; ; step += 1) {
      const ours = url.origin === fleet.publicUrl
      // The development provider signs in at once whom the hint names.
      if (!ours) url.searchParams.set('login_hint', 'alice')
      const target = ours ? new URL(url.pathname + url.search, gateway.url) : url
      const answer = await self.send(target, { headers: PAGE, host: url.host })
      // On a slow machine a brief access token may have died on the way; the session is there.
      if (answer.status === 200 || (ours && url.pathname === fleet.provider.resource && self.cookies.length > 0)) break
      if (![302, 303].includes(answer.status) || step > 10) throw new Error(`signing in ended at ${url.pathname} with ${answer.status}: ${answer.text}`)
      url = new URL(answer.headers.location, url)
    }
    self.family = (await issued).family
    return self
  }

  /** The Cookie header of now. */
  get cookie() {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** What an answer sets, as a browser takes it: also a late answer that puts an older cookie back. */
  take(answer) {
    if (answer.setCookies.length === 0) return
    for (const line of answer.setCookies) {
      const [pair, ...attributes] = line.split(/;\s*/)
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]
      if (value === '' || attributes.some((attribute) => /^max-age=0$/i.test(attribute))) this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
    const { cookie } = this
    if (cookie.includes('authjs.session-token') && cookie !== this.cookies.at(-1)) this.cookies.push(cookie)
  }

  async send(url, { headers = {}, host, cookie = this.cookie, ...options } = {}) {
    const gateway = { url: url.origin }
    const answer = await this.fleet.request(gateway, url.href, { headers: { ...headers, host, cookie: cookie || undefined }, ...options })
    this.take(answer)
    return answer
  }

  /** A request to the app that needs a living access token: 200 when the provider itself has accepted it. */
  ask(gateway = this.fleet.any(), { cookie = this.cookie, ...options } = {}) {
    return this.fleet.request(gateway, this.fleet.provider.resource, { ...options, headers: { ...FETCH, cookie } })
  }

  /** `POST /auth/refresh`: 200 `{ renewed, generation, expires_at }`, 503 when suspended, 401 when signed out. */
  async refresh(gateway = this.fleet.any(), { cookie = this.cookie, ...options } = {}) {
    const sent = Date.now()
    const headers = { ...FETCH, origin: this.fleet.publicUrl, cookie }
    try {
      return await this.fleet.request(gateway, '/auth/refresh', { ...options, method: 'POST', headers })
    } catch (error) {
      if (options.signal?.aborted !== true) this.cutOff.push({ sent, broken: Date.now() })
      throw error
    }
  }

  /**
   * The newest generation that any durable place holds: the record in the store, or one of the cookies that reached this browser.
   * A store in a file can be read only while no gateway has it.
   */
  async newestDurable() {
    // Cookies are handed out in the order of generations but for late answers: the last few hold the newest.
    let newest = 0
    for (const cookie of this.cookies.slice(-8)) {
      newest = Math.max(newest, (await this.#inCookie(cookie)).perennial.gen, (await this.#inStore(cookie))?.generation ?? 0)
    }
    return newest
  }

  async #inCookie(cookie) {
    return JSON.parse(await output(`${this.fleet.name}-cookie`, PERENNIAL, ['cookie', 'open'], this.#with(cookie)))
  }

  async #inStore(cookie) {
    const { name, store } = this.fleet
    const program = new Program(`${name}-explain`, PERENNIAL, ['explain', '-', '--store', store.url, '--json'], this.#with(cookie))
    const how = await program.exited
    // It has a code of its own for a session of which the store has no record.
    if (how === 3) return undefined
    if (how !== 0) throw new Error(`perennial explain ended with ${how}:\n${program.log}`)
    return JSON.parse(program.stdout)
  }

  #with(cookie) {
    return { env: { ...this.fleet.env, AUTH_SECRET: this.fleet.secret }, input: cookie }
  }
}
