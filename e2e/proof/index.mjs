// All scenarios, with the sizes in which the gate plays them and those of `cargo xtask proof`.

import { inspect, isDeepStrictEqual } from 'node:util'

import { EmbeddedFile, Postgres, Redis, RedisSentinel } from '../support/stores.mjs'
import { day } from './day.mjs'
import { hangUps, lost, shutdowns, storeOutages, storeStopped } from './faults.mjs'
import { lostOnTheWay, outages, staleCookies } from './foreign.mjs'
import { kills } from './kills.mjs'
import { storm } from './storm.mjs'

const CLASSES = ['family', 'single_use', 'overlap:60', 'idempotent:60', 'acknowledged', 'reusable']
const SOME = ['family', 'overlap:60', 'acknowledged']
/** How many kills at a provider of each class. */
const KILLS = { family: 80, single_use: 40, 'overlap:60': 30, 'idempotent:60': 20, acknowledged: 20, reusable: 10 }
const FEW = { family: 5, 'overlap:60': 3 }
const THREE = { Store: Redis, gateways: 3 }
const ALONE = { Store: EmbeddedFile, gateways: 1 }

const failOver = (store) => store.failOver()
const restart = async (store) => {
  await store.down()
  await store.up()
}

/** `fixed` holds in both sizes. A scenario with a clock of its own is alone in its process. */
export const SCENARIOS = [
  {
    name: 'storm-redis', what: 'three gateways on Redis, 50 tabs at every expiry', play: storm,
    fixed: { ...THREE, tabs: 50 }, short: { sessions: 3, expiries: 5 }, long: { sessions: 20, expiries: 50 },
  },
  {
    name: 'storm-postgres', what: 'three gateways on PostgreSQL, 50 tabs at every expiry', play: storm,
    fixed: { ...THREE, Store: Postgres, tabs: 50 }, short: { sessions: 3, expiries: 5 }, long: { sessions: 20, expiries: 50 },
  },
  {
    name: 'kills-embedded', what: 'one gateway on the embedded store, killed', play: kills,
    fixed: { ...ALONE, sessions: 6 }, short: { plan: FEW }, long: { plan: KILLS },
  },
  {
    name: 'kills-redis', what: 'three gateways on Redis, one of them killed', play: kills,
    fixed: { ...THREE, sessions: 6 }, short: { plan: FEW }, long: { plan: KILLS },
  },
  {
    name: 'lost-replies', what: "the provider's answer is lost", play: lost,
    fixed: { ...THREE, strike: 'replies' }, short: { classes: SOME, sessions: 3 }, long: { classes: CLASSES, sessions: 10 },
  },
  {
    name: 'lost-requests', what: 'the request is lost on its way to the provider', play: lost,
    fixed: { ...THREE, strike: 'requests' }, short: { classes: SOME, sessions: 3 }, long: { classes: CLASSES, sessions: 10 },
  },
  {
    name: 'slow-replies', what: 'the provider answers when every lease has run out', play: lost,
    fixed: { ...THREE, strike: 'slow' }, short: { classes: SOME, sessions: 3 }, long: { classes: CLASSES, sessions: 10 },
  },
  {
    name: 'hang-ups', what: 'callers hang up in the middle of the call', play: hangUps,
    fixed: { ...THREE, tabs: 20 }, short: { sessions: 4 }, long: { sessions: 20 },
  },
  {
    name: 'shutdowns', what: 'SIGTERM in the middle of the call', play: shutdowns,
    fixed: THREE, short: { sessions: 3 }, long: { sessions: 20 },
  },
  {
    name: 'store-stopped', what: 'Redis is killed between the answer and its saving, and comes back', play: storeStopped,
    fixed: THREE, short: { sessions: 2 }, long: { sessions: 20 },
  },
  {
    name: 'failover-redis', what: 'the Redis primary dies while sessions renew, and Sentinel names another', play: storeOutages,
    fixed: { ...THREE, Store: RedisSentinel, outage: failOver, sessions: 6 }, short: { times: 1 }, long: { times: 3 },
  },
  {
    name: 'restart-postgres', what: 'PostgreSQL crashes while sessions renew, and recovers', play: storeOutages,
    fixed: { ...THREE, Store: Postgres, outage: restart, sessions: 6 }, short: { times: 1 }, long: { times: 10 },
  },
  {
    name: 'foreign-storm', what: 'at oidc-provider: 50 tabs at every expiry, three gateways on Redis', play: storm,
    fixed: { ...THREE, foreign: true, tabs: 50 }, short: { sessions: 2, expiries: 4 }, long: { sessions: 10, expiries: 20 },
  },
  {
    name: 'foreign-stale', what: 'at oidc-provider: old cookies come back after 40 ms, 3 s, 29 s', play: staleCookies,
    fixed: ALONE, short: { sessions: 2, after: [40, 3_000, 29_000] }, long: { sessions: 10, after: [40, 3_000, 29_000, 60_000] },
  },
  {
    name: 'foreign-day', what: 'at oidc-provider: old cookies come back after a day', play: day, ownProcess: true,
    fixed: ALONE, short: { sessions: 2 }, long: { sessions: 10 },
  },
  {
    name: 'foreign-outage', what: 'at oidc-provider: it answers 503, 500, 429 or not at all', play: outages,
    fixed: { ...ALONE, ways: ['503', '500', '429', 'down'] }, short: { sessions: 2, seconds: 8 }, long: { sessions: 5, seconds: 30 },
  },
  {
    name: 'foreign-lost-replies', what: 'at oidc-provider: its answer is lost', play: lostOnTheWay,
    fixed: { ...ALONE, what: 'replies' }, short: { sessions: 2 }, long: { sessions: 20 },
  },
  {
    name: 'foreign-lost-requests', what: 'at oidc-provider: the request is lost', play: lostOnTheWay,
    fixed: { ...ALONE, what: 'requests' }, short: { sessions: 2 }, long: { sessions: 20 },
  },
]

/** Plays a scenario in one of its sizes. Answers with the row of the table and, in `broken`, with what did not hold. */
export async function play({ name, play: act, fixed, ...sizes }, size, say) {
  const began = performance.now()
  const { expect, ...row } = await act({ name, ...fixed, ...sizes[size], say })
  const broken = Object.entries(expect).filter(([, [is, should]]) => !isDeepStrictEqual(is, should))
  return { ...row, seconds: (performance.now() - began) / 1_000, broken: broken.map(([what, [is, should]]) => `${what}: ${inspect(is)} and not ${inspect(should)}`) }
}
