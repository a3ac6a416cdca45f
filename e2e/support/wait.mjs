// Waiting for conditions, always with a bound.

import { setTimeout as pause } from 'node:timers/promises'

/**
 * Asks `condition` again and again until it answers something truthy, and hands that on.
 * Fails after `within` milliseconds with `what` and the last error, so that a hanging test says what it waited for.
 */
export async function until(what, condition, { within = 10_000, every = 25 } = {}) {
  const deadline = Date.now() + within
  let last
  for (;;) {
    try {
      const answer = await condition()
      if (answer) return answer
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${within} ms in vain for ${what}`, { cause: last })
    }
    await pause(every)
  }
}

/** Waits for a point in time that somebody else has set, such as the expiry of a token. */
export async function untilTime(at) {
  for (let left = at - Date.now(); left > 0; left = at - Date.now()) await pause(left)
}

/** A promise with its handles outside: a gate that a test opens. */
export function gate() {
  let open
  const opened = new Promise((resolve) => (open = resolve))
  return { opened, open }
}
