// Makes tables and pictures of what was measured last, and prints the tables, or with `--write` puts both into docs/.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { bars } from './report/plot.mjs'
import { paper } from './report/paper.mjs'
import * as tables from './report/tables.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const write = process.argv.includes('--write')

const PARTS = ['live', 'storm', 'renewals', 'scale', 'micro']
const measured = Object.fromEntries(PARTS.map((name) => [name, told(name)]).filter(([, figures]) => figures !== undefined))
const PICTURES = { throughput: 'Requests per second with a live session, by subject', cpu: 'CPU per request with a live session, by subject' }
const passages = Object.entries(measured).map(([name, figures]) => ['speed.md', name, [provenance(name, figures.meta), ...(name === 'live' ? shown() : []), tables[name](figures)].join('\n\n')])
if (measured.scale && measured.renewals) passages.push(['scale.md', 'paper', paper(measured)])
for (const [page, name, passage] of passages) {
  console.log(`\n== ${name}\n${passage}`)
  if (write) put(page, name, passage)
}
for (const name of PARTS.filter((one) => !measured[one])) console.log(`\n${name}: nothing was measured yet`)
if (write && measured.live) pictures(measured.live)

/** The pictures as the page shows them, in the reader's colours. */
function shown() {
  return Object.entries(PICTURES).map(([name, alt]) => `<picture>
  <source media="(prefers-color-scheme: dark)" srcset="images/speed-${name}-dark.svg">
  <img alt="${alt}" src="images/speed-${name}-light.svg">
</picture>`)
}

function told(name) {
  const file = path.join(root, `target/bench/${name}.json`)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

function put(page, name, passage) {
  const file = path.join(root, 'docs', page)
  writeFileSync(file, replaced(readFileSync(file, 'utf8'), page, name, passage))
}

/** Which command printed it, when, on what, and whether the machine was quiet. */
function provenance(name, { began, cores, cpu, memory_gib, kernel, quiet, others, seconds, build }) {
  const state = quiet ? 'quiet' : `NOT quiet: others used ${others.toFixed(2)} cores when it began`
  return `\`cargo xtask bench --only ${name}\`, ${began.slice(0, 10)}, ${cores} cores of ${cpu.replaceAll(/\s+/g, ' ')}, ${memory_gib} GiB, Linux ${kernel}, ${build} build, ${Math.round(seconds / 60)} min. The machine was ${state}.`
}

/** `text` with what stands between this name's markers replaced. */
function replaced(text, page, name, passage) {
  const [begin, end] = [`<!-- begin ${name}: written by \`cargo xtask bench --write\` -->\n`, `<!-- end ${name} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`docs/${page} has lost its markers for ${name}`)
  return text.slice(0, from + begin.length) + `\n${passage}\n` + text.slice(to)
}

function pictures(live) {
  const rows = tables.liveRows(live, '64 connections')
  for (const theme of ['light', 'dark']) {
    const draw = (name, picture) => writeFileSync(path.join(root, `docs/images/speed-${name}-${theme}.svg`), picture)
    const bar = (value, unit) => rows.map((row) => ({ label: row.what, ours: row.what.includes('Perennial'), ...value(row), unit }))
    draw('throughput', bars({ title: 'Requests per second, live session, 64 connections', theme, rows: bar((row) => row.perSecond, '/s') }))
    draw('cpu', bars({ title: 'CPU per request, live session, 64 connections', theme, rows: bar((row) => row.cpu, 'µs') }))
  }
}
