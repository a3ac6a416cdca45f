// Part 3: how many renewals a second one engine makes when each is durable twice, its intent and its tokens. The provider answers at once, in
// the same process, so that what is measured is the engine and its store.

import { EmbeddedFile, Postgres, Redis } from '../e2e/support/stores.mjs'
import { bench } from './bench-binary.mjs'

const STORES = [
  { store: 'in memory (not durable)', start: async () => ({ url: 'memory:', stop: async () => {} }) },
  { store: 'embedded', start: () => EmbeddedFile.start() },
  { store: 'Redis, appendfsync always', start: () => Redis.start('bench-renewals') },
  { store: 'Redis, appendfsync everysec', start: () => Redis.start('bench-renewals-everysec', ['--appendfsync', 'everysec']) },
  { store: 'PostgreSQL', start: () => Postgres.start('bench-renewals') },
]
const SIZE = { sessions: 10_000, seconds: 5, at_once: 512 }
const QUICK = { sessions: 200, seconds: 1, at_once: 64 }
const RUNS = 3

export async function renewals({ quick, say }) {
  const runs = []
  for (let run = 1; run <= (quick ? 1 : RUNS); run += 1) {
    for (const { store, start } of quick ? STORES.slice(0, 3) : STORES) {
      const server = await start()
      try {
        const size = quick ? QUICK : SIZE
        const told = await bench(['renewals', '--store', server.url, '--sessions', size.sessions, '--seconds', size.seconds, '--at-once', size.at_once])
        if (told.redemptions !== told.renewals) throw new Error(`${told.redemptions} redemptions for ${told.renewals} renewals`)
        runs.push({ store, run, ...told })
        say(`${store}: ${Math.round(told.per_second)} renewals/s, the store alone ${Math.round(told.store_alone_per_second)} pairs of writes/s`)
      } finally {
        await server.stop()
      }
    }
  }
  return { runs }
}
