// Somebody with a cookie jar: loads pages and fetches as a browser does, with the same headers, without a browser.

import { CookieJar } from 'tough-cookie'

import { send } from './http.mjs'

const PAGE = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'sec-fetch-dest': 'document',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-site': 'none',
  'upgrade-insecure-requests': '1',
}
const FETCH = { accept: 'application/json', 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' }

export class Visitor {
  /** `home` is the origin that relative addresses start from and that counts as the page's own. */
  constructor(home, jar = new CookieJar(undefined, { rejectPublicSuffixes: false })) {
    this.home = home
    this.jar = jar
  }

  /** A copy of the jar as it is now: another tab restored from disk, a stolen cookie, an old one. */
  clone() {
    return new Visitor(this.home, this.jar.cloneSync())
  }

  /** One request with the jar's cookies; what the answer sets goes into the jar. */
  async request(address, { headers = {}, ...options } = {}) {
    const url = new URL(address, this.home)
    const cookie = await this.jar.getCookieString(url.href)
    const answer = await send(url, { ...options, headers: { ...(cookie && { cookie }), ...headers } })
    for (const one of answer.setCookies) await this.jar.setCookie(one, url.href)
    return answer
  }

  /** As `fetch()` does from a page of our own origin. */
  fetch(address, { headers = {}, ...options } = {}) {
    const origin = options.method && options.method !== 'GET' ? { origin: this.home } : {}
    return this.request(address, { ...options, headers: { ...FETCH, ...origin, ...headers } })
  }

  /** `fetch()` of a JSON POST. */
  postJson(address, value = {}, { headers = {}, ...options } = {}) {
    return this.fetch(address, {
      method: 'POST',
      body: JSON.stringify(value),
      headers: { 'content-type': 'application/json', ...headers },
      ...options,
    })
  }

  /** As a form on a page of our own origin is sent. */
  postForm(address, fields = {}, { headers = {}, ...options } = {}) {
    return this.request(address, {
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: { ...PAGE, 'sec-fetch-site': 'same-origin', origin: this.home, 'content-type': 'application/x-www-form-urlencoded', ...headers },
      ...options,
    })
  }

  /** A page load without following redirects. */
  page(address, { headers = {}, ...options } = {}) {
    return this.request(address, { ...options, headers: { ...PAGE, ...headers } })
  }

  /** A page load with its redirects followed, across origins, as the address bar does. */
  async visit(address) {
    const trail = []
    let answer = await this.page(address)
    while (answer.status >= 301 && answer.status <= 308 && answer.headers.location) {
      trail.push(answer.url)
      if (trail.length > 20) throw new Error(`more than 20 redirects: ${trail.join(' → ')}`)
      answer = await this.page(new URL(answer.headers.location, answer.url).href)
    }
    return Object.assign(answer, { trail })
  }

  /** The cookies that would go with a request to `address`. */
  cookies(address = '/') {
    return this.jar.getCookiesSync(new URL(address, this.home).href)
  }

  /** The session cookie's chunks. */
  sessionCookies() {
    return this.cookies().filter(({ key }) => key.includes('authjs.session-token'))
  }
}
