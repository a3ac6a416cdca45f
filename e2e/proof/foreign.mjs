// At npm oidc-provider, which nobody here wrote: it rotates at every refresh and revokes the grant when a spent refresh token comes again.

import { untilTime } from '../support/wait.mjs'
import { askPatiently, judge, outcome, refusals, standing, together } from './evidence.mjs'
import { signedIn } from './faults.mjs'
import { openScene } from './scene.mjs'

/** In seconds, of which the provider counts whole ones: the last is not to be relied on. */
const LIFETIME = 5
/** The default. */
const CALL_DEADLINE_MS = 10_000

/**
 * A cookie from before the first renewal comes back 40 ms, 3 s and 29 s after that renewal, and with it each time one from the generation
 * before the newest. Meanwhile another tab goes on renewing.
 */
export async function staleCookies({ name, Store, sessions, after, say = () => {} }) {
  return at({ name, Store, lifetime: LIFETIME, sessions }, async ({ people, provider }) => {
    const wrong = []
    let shown = 0
    await Promise.all(people.map(async (person) => {
      const oldest = person.cookie
      await renewed(person)
      const first = provider.newestToken(person.family).at_ms
      for (const wait of after) {
        while (Date.now() + LIFETIME * 1_000 < first + wait) await renewed(person)
        await untilTime(first + wait)
        for (const cookie of new Set([oldest, person.cookies.at(-2)])) {
          const answer = await askPatiently(person, cookie)
          shown += 1
          if (answer.status !== 200) wrong.push(`+${wait} ms: ${answer.status} ${answer.text}`)
          else person.take(answer)
        }
        say(`session ${shown}: stale cookies at +${wait} ms`)
      }
    }))
    return { count: `${people.length} sessions, ${shown} stale cookies`, expect: { 'stale cookies that were not served': [wrong, []] } }
  })
}

/** For longer than an access token lives the provider cannot give tokens, in each of these ways. */
export async function outages({ name, Store, sessions, ways, seconds, say = () => {} }) {
  const begin = {
    503: (provider) => provider.breakTokenEndpoint(503),
    500: (provider) => provider.breakTokenEndpoint(500, { 'content-type': 'text/html' }),
    429: (provider) => provider.breakTokenEndpoint(429, { 'retry-after': '1' }),
    down: (provider) => provider.down(),
  }
  const rows = await Promise.all(ways.map((way) =>
    at({ name: `${name}-${way}`, Store, lifetime: LIFETIME, sessions }, async ({ people, provider }) => {
      await begin[way](provider)
      const back = Date.now() + seconds * 1_000
      let out = 0
      await Promise.all(people.map(async (person) => {
        while (Date.now() < back) {
          out += standing(await person.refresh()) === 'out' ? 1 : 0
          await untilTime(Date.now() + 100)
        }
      }))
      const { faults } = provider
      await (way === 'down' ? provider.up() : provider.mend())
      say(`outage "${way}" is over after ${faults} attempts`)
      return {
        expect: {
          [`${way}: told to sign in during the outage`]: [out, 0],
          [`${way}: attempts are no hammering (${faults})`]: [faults <= seconds * sessions, true],
        },
      }
    })))
  return together(rows, `${ways.length} outages of ${seconds} s, ${ways.length * sessions} sessions`)
}

/** The connection breaks after the provider has spent the refresh token (`replies`), or before it saw it (`requests`). */
export async function lostOnTheWay({ name, Store, sessions, what, say = () => {} }) {
  return at({ name, Store, lifetime: LIFETIME * 2, sessions }, async ({ people, provider }) => {
    await untilTime(provider.events.at(-1).at_ms + 1_000)
    if (what === 'replies') provider.loseReplies(sessions)
    else provider.loseRequests(sessions)
    const seen = await Promise.all(people.map(async (person) => standing(await person.refresh())))
    say(`${provider.faults} ${what} were lost`)
    return {
      spends: what === 'replies',
      expect: {
        // After some of them the gateways leave the provider alone: the others are told to come back, and their turn comes then.
        'connections broke': [provider.faults > 0 && provider.faults <= sessions, true],
        'told to sign in at once': [seen.filter((one) => one === 'out').length, 0],
      },
    }
  })
}

/** Plays `act`, then asks every session to renew, and judges. */
export async function at({ name, Store, lifetime, sessions, env }, act) {
  const scene = await openScene({ name, Store, foreign: true, lifetime, env })
  const { provider, fleet, close } = scene
  try {
    const people = await signedIn(fleet, sessions)
    const { expect, count = `${sessions} sessions`, spends = false } = await act({ ...scene, people })
    const outcomes = await Promise.all(people.map((person) => outcome(person)))
    await fleet.stop()
    const row = await judge(people, outcomes, { provider, refreshClass: 'family', callDeadlineMs: CALL_DEADLINE_MS })
    const lost = outcomes.filter((one) => one === 'lost').length
    return {
      count,
      savable: row.savable,
      unsavable: row.unsavable,
      redemptions: row.redemptions,
      signOuts: row.savable + row.unsavable,
      expect: {
        'lost although they could be saved': [row.why, []],
        ...(spends ? {} : { 'sessions lost': [lost, 0], 'refresh tokens refused': [refusals(provider).length, 0], 'grants revoked': [provider.revokedGrants, 0] }),
        ...expect,
      },
    }
  } finally {
    await close()
  }
}

/** The newest cookie is shown after its access token has died, and what comes of it is kept. */
async function renewed(person) {
  const { provider } = person.fleet
  await untilTime(provider.newestToken(person.family).at_ms + LIFETIME * 1_000 + 20)
  const answer = await askPatiently(person, person.cookie)
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
  person.take(answer)
}
