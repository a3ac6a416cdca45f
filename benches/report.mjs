// Makes tables and pictures of what was measured last, and prints the tables, or with `--write` puts both into docs/.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { bars } from './report/plot.mjs'
import * as tables from './report/tables.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const page = path.join(root, 'docs/speed.md')
const write = process.argv.includes('--write')

let text = readFileSync(page, 'utf8')
for (const name of ['live', 'storm', 'renewals', 'scale', 'micro']) {
  const file = path.join(root, `target/bench/${name}.json`)
  if (!existsSync(file)) {
    console.log(`\n${name}: nothing was measured yet`)
    continue
  }
  const told = JSON.parse(readFileSync(file, 'utf8'))
  const passage = `${provenance(name, told.meta)}\n\n${tables[name](told)}`
  console.log(`\n== ${name}\n${passage}`)
  text = replaced(text, name, passage)
  if (write && name === 'live') pictures(told)
}
if (write) writeFileSync(page, text)

/** Which command printed it, when, on what, and whether the machine was quiet. */
function provenance(name, { began, cores, cpu, memory_gib, kernel, quiet, others, seconds, build }) {
  const state = quiet ? 'quiet' : `NOT quiet: others used ${others.toFixed(2)} cores when it began`
  return `\`cargo xtask bench --only ${name}\`, ${began.slice(0, 10)}, ${cores} cores of ${cpu.replaceAll(/\s+/g, ' ')}, ${memory_gib} GiB, Linux ${kernel}, ${build} build, ${Math.round(seconds / 60)} min. The machine was ${state}.`
}

/** `text` with what stands between this name's markers replaced. */
function replaced(text, name, passage) {
  const [begin, end] = [`<!-- begin ${name}: written by \`cargo xtask bench --write\` -->\n`, `<!-- end ${name} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`docs/speed.md has lost its markers for ${name}`)
  return text.slice(0, from + begin.length) + `\n${passage}\n` + text.slice(to)
}

function pictures(told) {
  const rows = tables.liveRows(told, '64 connections')
  for (const theme of ['light', 'dark']) {
    const put = (name, picture) => writeFileSync(path.join(root, `docs/images/speed-${name}-${theme}.svg`), picture)
    const bar = (value, unit) => rows.map((row) => ({ label: row.what, ours: row.what.includes('Perennial'), ...value(row), unit }))
    put('throughput', bars({ title: 'Requests per second, live session, 64 connections', theme, rows: bar((row) => row.perSecond, '/s') }))
    put('cpu', bars({ title: 'CPU per request, live session, 64 connections', theme, rows: bar((row) => row.cpu, 'µs') }))
  }
}
