// Measures what is asked for and keeps the raw figures: `node run.mjs [--quick] [--wait MINUTES] PART...`. `--list` names the parts.
//
// It ends with code 0 when all of it was measured and every answer was good. Tables and pictures are made of what it wrote, by report.mjs.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { live } from './live.mjs'
import { description, quiet } from './machine.mjs'
import { micro } from './micro.mjs'
import { renewals } from './renewals.mjs'
import { scale } from './scale.mjs'
import { storm } from './storm.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
export const RESULTS = path.join(root, 'target/bench')

const PARTS = {
  live: { what: 'a live session with nothing due, beside nginx, Apache and Auth.js', measure: live },
  storm: { what: '50 and 1,000 requests at the moment of expiry, one gateway and three', measure: storm },
  renewals: { what: 'renewals a second with intent and commit durable', measure: renewals },
  scale: { what: 'memory and latency with up to a million sessions, and the size of the program', measure: scale },
  micro: { what: 'single steps, by Criterion', measure: micro },
}
/** Nothing here waits for ever, but a measurement that never ends says nothing. */
const LIMIT_MINUTES = 60

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean' }, quick: { type: 'boolean' }, wait: { type: 'string', default: '2' } },
})
if (values.list) {
  for (const [name, { what }] of Object.entries(PARTS)) console.log(`${name.padEnd(10)}${what}`)
} else {
  setTimeout(() => {
    console.error(`not done after ${LIMIT_MINUTES} minutes`)
    process.exit(3)
  }, LIMIT_MINUTES * 60_000).unref()
  mkdirSync(RESULTS, { recursive: true })
  for (const name of positionals.length > 0 ? positionals : Object.keys(PARTS)) {
    if (!PARTS[name]) throw new Error(`There is no \`${name}\`. --list says what there is.`)
    await part(name, PARTS[name])
  }
}

async function part(name, { what, measure }) {
  console.log(`\n== ${name}: ${what}`)
  const say = (line) => console.log(`${name}: ${line}`)
  const { quiet: wasQuiet, others } = await quiet({ minutes: values.quick ? 0 : Number(values.wait), say })
  if (!wasQuiet) say(`the machine is NOT quiet: others use ${others.toFixed(2)} cores`)
  const began = new Date()
  const told = await measure({ quick: values.quick === true, say })
  const meta = { ...description(), quick: values.quick === true, quiet: wasQuiet, others, began: began.toISOString(), seconds: (Date.now() - began) / 1_000, build: build() }
  // A smoke form must not take the place of figures that count.
  writeFileSync(path.join(RESULTS, values.quick ? `${name}.quick.json` : `${name}.json`), JSON.stringify({ meta, ...told }, null, 1))
  say(`done after ${Math.round(meta.seconds)} s`)
}

/** Which profile of ours was measured. */
function build() {
  return (process.env.PERENNIAL_BIN ?? 'debug').includes('/release/') ? 'release' : 'debug'
}

export const recorded = (name) => JSON.parse(readFileSync(path.join(RESULTS, `${name}.json`), 'utf8'))
