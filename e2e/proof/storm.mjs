// Three gateways, fifty tabs, and nothing goes wrong: one redemption per generation, and nobody is signed out.

import http from 'node:http'

import { Person } from '../support/person.mjs'
import { untilTime } from '../support/wait.mjs'
import { askPatiently, redemptionsPerGeneration, refusals, standing } from './evidence.mjs'
import { openScene } from './scene.mjs'

/** In seconds. */
const LIFETIME = 3
/** The foreign provider counts in whole seconds: of these the last is not to be relied on. */
const FOREIGN_LIFETIME = 5

export async function storm({ name, Store, gateways, foreign, sessions, expiries, tabs, say = () => {} }) {
  const lifetime = foreign ? FOREIGN_LIFETIME : LIFETIME
  const { provider, fleet, close } = await openScene({ name, Store, gateways, foreign, lifetime })
  const agent = new http.Agent({ keepAlive: true, maxSockets: tabs })
  const seen = { served: 0, suspended: 0, refused: 0, out: 0 }
  let met = 0
  try {
    await Promise.all(
      Array.from({ length: sessions }, async () => {
        const person = await Person.signIn(fleet)
        for (let round = 0; round < expiries; round += 1) {
          await expiry(person, { lifetime, dead: foreign || round % 2 === 0, tabs, agent, seen })
          met += 1
          if (met % 100 === 0) say(`${met} of ${sessions * expiries} expiries`)
        }
      }),
    )
  } finally {
    agent.destroy()
    await close()
  }
  const renewals = provider.events.filter(({ outcome }) => outcome === 'rotated').length
  return {
    count: `${met} expiries, ${met * tabs} requests, ${seen.suspended} of them told to come back`,
    savable: seen.out,
    unsavable: 0,
    redemptions: redemptionsPerGeneration(provider),
    signOuts: seen.out,
    expect: {
      // On a slow machine a token may die a second time while its tabs are still being answered.
      'every expiry was met by a renewal': [renewals >= met, true],
      'one redemption per generation': [redemptionsPerGeneration(provider), 1],
      'refresh tokens refused': [refusals(provider).length, 0],
      'told to sign in, or refused by the app': [seen.out + seen.refused, 0],
      // Where the machine keeps a renewal from ending in time the others are told to come back; that must not be how storms are met.
      'nine of ten served at once': [seen.served >= 0.9 * met * tabs, true],
    },
  }
}

/**
 * One expiry, met by all tabs at once with the same cookies, over all gateways; every fifth tab has slept and holds an older cookie.
 * `dead`: after the access token has died, so that all have to wait; else in the last moments of its life, when the session is due.
 */
async function expiry(person, { lifetime, dead, tabs, agent, seen }) {
  const { fleet } = person
  const dies = fleet.provider.newestToken(person.family).at_ms + lifetime * 1_000
  // The last third of its life is the window, and in its first half every session becomes due.
  await untilTime(dead ? dies + 20 : dies - (lifetime * 1_000) / 6 + 60)
  const now = person.cookie
  const older = person.cookies.slice(0, -1)
  const answers = await Promise.all(
    Array.from({ length: tabs }, (_, tab) => {
      const cookie = tab % 5 === 4 && older.length > 0 ? older[(tab * 7) % older.length] : now
      return person.ask(fleet.gateways[tab % fleet.gateways.length], { cookie, agent })
    }),
  )
  for (const answer of answers) {
    seen[standing(answer)] += 1
    person.take(answer)
  }
  // Whoever renewed ahead of time answered at once to the others; the new cookie is there by now, or comes with this.
  if (person.cookie === now) person.take(await askPatiently(person, now))
}
