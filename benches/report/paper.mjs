// 100 million sessions on Redis Cluster, on paper: each number follows from a measured one, by the line beside it.

import { plain, spread, table } from './numbers.mjs'

const SESSIONS = 1e8
const TOKEN_LIFE_S = 3_600
/** How much of a server's memory records may fill: the rest is for copies at snapshots, buffers and fragmentation. */
const FILL = 0.6
const SERVER_GIB = 64
/** No process is planned to be busier than this. */
const BUSY = 0.5
/** Copies of each record: the primary's and one replica's. */
const COPIES = 2
/** How many of those who are signed in are at their desks at the busiest hour. */
const ACTIVE = [1, 0.1]

/** `scale` and `renewals` as they were measured last. */
export function paper({ scale, renewals }) {
  const each = scale.runs.filter(({ store, stored_bytes_each }) => store === 'Redis' && stored_bytes_each).at(-1)
  const onRedis = renewals.runs.filter(({ store }) => store === 'Redis, appendfsync everysec')
  const [perGateway, pairs] = [spread(onRedis.map(({ per_second }) => per_second)).median, spread(onRedis.map(({ store_alone_per_second }) => store_alone_per_second)).median]
  const bytes = SESSIONS * each.stored_bytes_each
  const primaries = Math.ceil(bytes / (SERVER_GIB * 2 ** 30 * FILL))
  const memory = [
    ['records', `${plain(each.stored_bytes_each)} bytes each, measured with ${plain(each.sessions)} sessions`, `${plain(bytes / 2 ** 30)} GiB`],
    ['primaries for memory', `records ÷ ${FILL * 100} % of ${SERVER_GIB} GiB`, primaries],
    ['servers with one replica each', `${COPIES} × primaries`, COPIES * primaries],
  ]
  const work = ACTIVE.map((share) => {
    const rate = (SESSIONS * share) / TOKEN_LIFE_S
    return [
      `${share * 100} %`, plain(rate), Math.ceil(rate / (perGateway * BUSY)), Math.ceil(rate / (pairs * BUSY)), plain(2 * rate), plain((2 * rate) / perGateway / 2),
    ]
  })
  return [
    table(['what', 'how', 'is'], memory),
    `One engine was measured at ${plain(perGateway)} renewals/s and one Redis at ${plain(pairs)} pairs of writes/s, both on this machine at once; half of that is planned.`,
    table(['active in the hour', `renewals/s, tokens of ${TOKEN_LIFE_S / 60} min`, 'gateways for them', 'primaries for them', 'changes/s that each gateway hears', 'of what one measured engine hears'], work),
  ].join('\n\n')
}
