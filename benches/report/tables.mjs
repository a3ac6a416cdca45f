// One table for each part, under the name of the part.

import { grouped, plain, spoken, spread, table } from './numbers.mjs'

const ms = (us) => `${plain(us / 1_000)} ms`
const mib = (kib) => `${plain(kib / 1_024)} MiB`
const ratio = (value) => `${value.toFixed(2)}×`

/** The subjects of one workload, with what is in the middle of its rounds. Ratios are to nginx in the same round. */
export function liveRows({ subjects, rounds }, workload) {
  const mine = rounds.filter((one) => one.workload === workload)
  const nginx = new Map(mine.filter(({ subject }) => subject === 'nginx').map((one) => [one.round, one]))
  return subjects.flatMap(({ name, what }) => {
    const own = mine.filter(({ subject }) => subject === name)
    if (own.length === 0) return []
    const of = (value) => spread(own.map(value))
    return [{
      name, what,
      perSecond: of((one) => one.perSecond),
      share: of((one) => one.perSecond / nginx.get(one.round).perSecond),
      p50: of((one) => one.p50), p99: of((one) => one.p99),
      cpu: of((one) => one.cpu),
      cpuRatio: of((one) => one.cpu / nginx.get(one.round).cpu),
      failed: of((one) => one.failed), rss: of((one) => one.rss), idle: own[0].idle,
    }]
  })
}

export function live(told) {
  const head = ['subject', 'requests/s', 'of nginx', 'p50', 'p99', 'CPU µs a request', 'of nginx', 'memory', 'idle']
  const parts = told.workloads.map(({ name, connections, body, keepAlive, tls }) => {
    const rows = liveRows(told, name).map((row) => [
      row.what + (row.failed.median > 0.001 ? ` (${plain(row.failed.median * 100)} % failed)` : ''), spoken(row.perSecond), spoken(row.share, ratio), ms(row.p50.median), ms(row.p99.median), spoken(row.cpu), spoken(row.cpuRatio, ratio), mib(row.rss.median), mib(row.idle),
    ])
    const how = `${connections} connection${connections === 1 ? '' : 's'}${keepAlive ? '' : ', each for one request'}, body of ${body === '100' ? '100 B' : body === '10k' ? '10 KiB' : '1 MiB'}${tls ? ', TLS' : ''}`
    return rows.length === 0 ? '' : `**${name}** (${how})\n\n${table(head, rows)}\n`
  })
  return parts.filter(Boolean).join('\n') + `\n**Targets**\n\n${targets(told)}\n`
}

/** What issue and design ask of us, at 64 connections. */
function targets(told) {
  const by = Object.fromEntries(liveRows(told, '64 connections').map((row) => [row.name, row]))
  const { gateway, mod_auth_openidc: apache, authjs } = by
  const against = (other) => (other ? gateway.perSecond.median / other.perSecond.median : undefined)
  const rows = [
    ['CPU a request, gateway to nginx without sign-in', '≤ 1.20×', gateway.cpuRatio.median, (is) => is <= 1.2],
    ['requests/s, gateway to nginx without sign-in', '≥ 0.85×', gateway.share.median, (is) => is >= 0.85],
    ['requests/s, gateway to mod_auth_openidc', '≥ 5×', against(apache), (is) => is >= 5],
    ['requests/s, gateway to Auth.js/SvelteKit', '≥ 50×', against(authjs), (is) => is >= 50],
  ]
  return table(['what', 'target', 'measured', ''], rows.map(([what, target, is, holds]) => [what, target, is === undefined ? '–' : ratio(is), is === undefined ? 'not measured' : holds(is) ? 'met' : 'missed']))
}

export function storm({ rounds }) {
  const head = ['gateways', 'provider’s delay', 'requests', 'redemptions', 'good answers', 'nothing due: p50 / slowest', 'at expiry: p50 / slowest', 'added: median', 'added: slowest']
  const rows = [...grouped(rounds, ({ fleet, delay, size }) => `${fleet}/${delay}/${size}`).values()].map((own) => {
    const of = (value) => spread(own.map(value))
    const [{ fleet, delay, size }] = own
    const pair = (times) => `${ms(of((one) => one[times].p50_us).median)} / ${ms(of((one) => one[times].slowest_us).median)}`
    return [
      fleet, `${delay} ms`, size, spoken(of((one) => one.redemptions), String), `${spoken(of((one) => one.good), String)} of ${size}`,
      pair('live'), pair('storm'), spoken(of((one) => one.added.p50_us), ms), spoken(of((one) => one.added.slowest_us), ms),
    ]
  })
  return table(head, rows)
}

export function renewals({ runs }) {
  const head = ['store', 'renewals/s', 'p50', 'p99', 'the store alone, pairs of writes/s', 'target', '']
  const targets = { embedded: 8_000, 'Redis, appendfsync everysec': 10_000 }
  const rows = [...grouped(runs, ({ store }) => store)].map(([store, own]) => {
    const of = (value) => spread(own.map(value))
    const perSecond = of((one) => one.per_second)
    const target = targets[store]
    return [
      store, spoken(perSecond), ms(of((one) => one.times.p50_us).median), ms(of((one) => one.times.p99_us).median), spoken(of((one) => one.store_alone_per_second)),
      target ? plain(target) : '–', target ? (perSecond.median >= target ? 'met' : `missed, ${ratio(perSecond.median / target)} of it`) : '',
    ]
  })
  return table(head, rows)
}

export function scale({ start, runs }) {
  const head = ['store', 'sessions', 'bytes each, in this process', 'bytes each, in the store', 'request, `database`: p50 / p99', '`database`, requests/s', 'request, `jwt`: p50 / p99', '`jwt`, requests/s', 'filled, sessions/s']
  const us = ({ p50_us, p99_us }) => `${plain(p50_us)} / ${plain(p99_us)} µs`
  const rows = runs.map((one) => [
    one.store, plain(one.sessions), plain(one.memory_bytes_each), one.stored_bytes_each === undefined ? '–' : plain(one.stored_bytes_each),
    us(one.database.alone), plain(one.database.per_second), us(one.jwt.alone), plain(one.jwt.per_second), plain(one.filled_per_second),
  ])
  const started = spread(start.starts.map(({ ms }) => ms))
  const idle = spread(start.starts.map(({ rss_kib }) => rss_kib))
  const each = runs.find(({ store, sessions }) => store === 'in memory' && sessions === 100_000)?.memory_bytes_each
  const verdict = (holds) => (holds ? 'met' : 'missed')
  const sizes = [
    ['start to first answer', '< 100 ms', spoken(started, (value) => `${plain(value)} ms`), verdict(started.median < 100)],
    ['memory, idle', '< 40 MiB', spoken(idle, mib), verdict(idle.median < 40 * 1_024)],
    ['release binary', '< 25 MiB', mib(start.binary_bytes / 1_024), verdict(start.binary_bytes < 25 * 2 ** 20)],
    ...(each === undefined ? [] : [['100,000 sessions of strategy `database`, each', '< 1 KiB', `${plain(each)} bytes`, verdict(each < 1_024)]]),
  ]
  return `${table(head, rows)}\n\n${table(['what', 'target', 'measured', ''], sizes)}`
}

export function micro({ steps }) {
  const targets = { 'open, read, decide': 3_000, 'enter: seen before': 500 }
  const time = (ns) => (ns < 10_000 ? `${plain(ns)} ns` : `${plain(ns / 1_000)} µs`)
  const rows = steps.map(({ step, ns, low, high }) => {
    const target = targets[step]
    return [step, `${time(ns)}`, `${time(low)} – ${time(high)}`, target ? `≤ ${time(target)}` : '–', target ? (ns <= target ? 'met' : `missed, ${ratio(ns / target)}`) : '']
  })
  return table(['step', 'median', '95 % interval', 'target', ''], rows)
}
