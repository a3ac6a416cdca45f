// What a provider saw at its token endpoint, in the order in which it happened. This is the suite's evidence.

export class Witness {
  /**
   * Oldest first: `{ family, serial, outcome, at_ms, duration_ms }`. The serial is that of the refresh token that was presented, 1 for the
   * first of its family; the outcome is in the words of docs/provider.md.
   */
  events = []
  #listeners = new Set()

  tell(event) {
    this.events.push(event)
    for (const listener of [...this.#listeners]) listener(event)
  }

  /** The next event that `wanted` accepts. To be asked for before what brings it about. */
  next(what, wanted, { within = 30_000 } = {}) {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer)
        this.#listeners.delete(listener)
      }
      const listener = (event) => {
        if (!wanted(event)) return
        done()
        resolve(event)
      }
      const timer = setTimeout(() => {
        done()
        reject(new Error(`waited ${within} ms in vain for the provider to tell of ${what}`))
      }, within)
      this.#listeners.add(listener)
    })
  }

  /** When the family's newest access token was given. */
  newestToken(family) {
    return this.events.findLast((event) => event.family === family && (event.outcome === 'issued' || isRedemption(event)))
  }
}

/** Whether a refresh token was redeemed, whether or not the answer arrived. */
export const isRedemption = ({ outcome }) => outcome === 'rotated' || outcome === 'reply_lost' || outcome?.startsWith('reused_ok') === true

/** Whether a refresh token was refused. */
export const isRefusal = ({ outcome }) => outcome?.startsWith('rejected') === true || outcome === 'reuse_detected_family_revoked'
