// One round of wrk: so many connections, so many seconds, and what came of it.

import { writeFileSync } from 'node:fs'
import path from 'node:path'

import { output, temporaryFolder } from '../e2e/support/processes.mjs'

/** Prints what wrk knows as one line of JSON; percentiles are in microseconds. */
const SUMMARY = `done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'WRK {"requests":%d,"duration":%d,"bytes":%d,"errors":%d,"p50":%d,"p99":%d,"slowest":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
`
const script = path.join(temporaryFolder(), 'summary.lua')
writeFileSync(script, SUMMARY)

/** `{ requests, seconds, bytes, errors, p50, p99, slowest }`, the last three in microseconds. */
export async function wrk(url, { connections, seconds, headers = {} }) {
  const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const parameters = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script, ...lines, url]
  const text = await output('wrk', 'wrk', parameters)
  const line = text.split('\n').find((one) => one.startsWith('WRK '))
  if (!line) throw new Error(`wrk said nothing of itself:\n${text}`)
  const { duration, ...told } = JSON.parse(line.slice('WRK '.length))
  return { ...told, seconds: duration / 1e6 }
}
