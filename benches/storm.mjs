// Part 2: the access token dies, and so many requests come at that moment. What counts is the provider's own count of redemptions.
//
// Right before, the same burst is sent while nothing is due: what an answer then takes is the subject's own time, and the client's.

import { openScene } from '../e2e/proof/scene.mjs'
import { redemptionsPerGeneration, refusals } from '../e2e/proof/evidence.mjs'
import { Person } from '../e2e/support/person.mjs'
import { isRedemption } from '../e2e/support/witness.mjs'
import { EmbeddedFile, Redis } from '../e2e/support/stores.mjs'
import { bench } from './bench-binary.mjs'
import { turnedAway } from './machine.mjs'
import { LIMITS } from './peers/perennial.mjs'

const SIZES = [50, 1_000]
const DELAYS = [0, 200]
const FLEETS = [
  { fleet: 'one gateway, embedded', Store: EmbeddedFile, gateways: 1 },
  { fleet: 'three gateways, Redis', Store: Redis, gateways: 3 },
]
const ROUNDS = 3
const QUICK = { sizes: [50], delays: [0], rounds: 1, lifetime: 4 }

/** In seconds: long enough for a burst while nothing is due, and to open the connections of the next one. */
const LIFETIME = 9
/** So long before and after the moment of expiry nothing else is begun, in milliseconds. */
const AFTER_EXPIRY = 30

export async function storm({ quick, say }) {
  const lifetime = quick ? QUICK.lifetime : LIFETIME
  const rounds = []
  for (const fleet of FLEETS) {
    for (const delay of quick ? QUICK.delays : DELAYS) {
      const scene = await openScene({
        name: `bench-storm-${fleet.gateways}`, Store: fleet.Store, gateways: fleet.gateways, lifetime, behaviour: `delay_ms=${delay}`, limits: LIMITS,
      })
      try {
        const person = await Person.signIn(scene.fleet)
        for (const size of quick ? QUICK.sizes : SIZES) {
          for (let round = 1; round <= (quick ? QUICK.rounds : ROUNDS); round += 1) {
            const figures = await expiry(scene, person, { size, delay, lifetime })
            rounds.push({ fleet: fleet.fleet, delay, size, round, ...figures })
            say(`${fleet.fleet}, provider ${delay} ms, ${size} requests: ${figures.redemptions} redemptions, ${figures.good} good, added ${(figures.added.p50_us / 1_000).toFixed(1)} ms in the middle, ${(figures.added.slowest_us / 1_000).toFixed(1)} at most${figures.turned_away > 0 ? `, ${figures.turned_away} connections turned away` : ''}`)
          }
        }
        if (redemptionsPerGeneration(scene.provider) > 1 || refusals(scene.provider).length > 0) throw new Error('a refresh token was redeemed twice')
      } finally {
        await scene.close()
      }
    }
  }
  return { rounds }
}

/** One burst while nothing is due, one when the token has died. */
async function expiry({ provider, fleet }, person, { size, delay, lifetime }) {
  // Whatever was renewed since, the person has the newest cookie, and its token has just begun.
  person.take(await person.refresh())
  const dies = provider.newestToken(person.family).at_ms + lifetime * 1_000
  const live = await burst(fleet, person, size, 0)
  const [before, turned] = [provider.events.length, turnedAway()]
  const storm = await burst(fleet, person, size, dies + AFTER_EXPIRY)
  const redemptions = provider.events.slice(before).filter(isRedemption)
  // What the provider says it took; its delay is in it.
  const provided = Math.max(0, ...redemptions.map(({ duration_ms }) => duration_ms ?? delay)) * 1_000
  const added = (name) => storm.times[name] - live.times[name] - provided
  return {
    redemptions: redemptions.length,
    good: storm.statuses['200'] ?? 0,
    statuses: storm.statuses,
    turned_away: turnedAway() - turned,
    live: live.times,
    storm: storm.times,
    provided_us: provided,
    added: { p50_us: added('p50_us'), slowest_us: added('slowest_us') },
  }
}

function burst(fleet, person, requests, at) {
  const addresses = fleet.gateways.flatMap(({ url }) => ['--address', new URL(url).host])
  const parameters = ['burst', ...addresses, '--host', new URL(fleet.publicUrl).host, '--path', fleet.provider.resource, '--requests', requests, '--at', Math.round(at)]
  return bench(parameters, { input: person.cookie })
}
