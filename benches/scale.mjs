// Part 4: what many sessions cost, in memory and in time, and how large and how quick to start the gateway is.

import { statSync } from 'node:fs'

import { send } from '../e2e/support/http.mjs'
import { PERENNIAL } from '../e2e/support/processes.mjs'
import { EmbeddedFile, Redis } from '../e2e/support/stores.mjs'
import { bench } from './bench-binary.mjs'
import { cost } from './machine.mjs'
import { startApp } from './peers/nginx.mjs'
import { startGateway } from './peers/perennial.mjs'
import { startProvider } from './peers/provider.mjs'

const COUNTS = [10_000, 100_000, 1_000_000]
const QUICK = { counts: [1_000], requests: 500 }
const REQUESTS = 20_000
const STARTS = 5

const memory = { store: 'in memory', start: async () => ({ url: 'memory:', stop: async () => {} }), held: () => undefined }
const embedded = { store: 'embedded', start: () => EmbeddedFile.start(), held: ({ url }) => statSync(url).size }
/** Memory is what is asked about, so that nothing has to reach the disk. */
const redis = {
  store: 'Redis',
  start: () => Redis.start('bench-scale', ['--appendonly', 'no']),
  held: async (server) => Number(/^used_memory:(\d+)/m.exec(await server.command('INFO', 'memory'))?.[1]),
}

export async function scale({ quick, say }) {
  const start = await started(quick, say)
  const runs = []
  for (const sessions of quick ? QUICK.counts : COUNTS) {
    for (const { store, start, held } of [memory, embedded, redis]) {
      const server = await start()
      try {
        const before = await (store === 'embedded' ? 0 : held(server))
        const told = await bench(['scale', '--store', server.url, '--sessions', sessions, '--requests', quick ? QUICK.requests : REQUESTS])
        const after = await held(server)
        const stored_bytes_each = after === undefined ? undefined : (after - before) / sessions
        runs.push({ store, ...told, stored_bytes_each })
        say(`${store}, ${sessions} sessions: ${Math.round(told.memory_bytes_each)} bytes each here, ${Math.round(stored_bytes_each ?? 0)} there; database ${told.database.alone.p50_us.toFixed(0)} us, jwt ${told.jwt.alone.p50_us.toFixed(1)} us`)
      } finally {
        await server.stop()
      }
    }
  }
  return { start, runs }
}

/** From the start of the process to its first answer, and what it holds before it has served anybody. */
async function started(quick, say) {
  const app = await startApp()
  const provider = await startProvider()
  const starts = []
  try {
    for (let run = 0; run < (quick ? 1 : STARTS); run += 1) {
      const gateway = await startGateway({ app, provider })
      try {
        await send(`${gateway.url}/healthz`)
        starts.push({ ms: gateway.started, rss_kib: cost(gateway.pids).rss })
      } finally {
        await gateway.stop()
      }
    }
  } finally {
    await provider.stop()
    await app.stop()
  }
  const binary_bytes = statSync(PERENNIAL).size
  say(`started in ${starts.map(({ ms }) => Math.round(ms)).join(', ')} ms, ${Math.round(starts[0].rss_kib / 1024)} MiB idle, ${(binary_bytes / 2 ** 20).toFixed(1)} MiB on disk`)
  return { starts, binary_bytes }
}
