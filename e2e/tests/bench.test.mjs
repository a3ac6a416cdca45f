// The benchmark runs, in its smoke form: whatever it measures here is not told. That the figures make tables is shown as well.

import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import * as tables from '../../benches/report/tables.mjs'
import { bars } from '../../benches/report/plot.mjs'
import { PERENNIAL, output } from '../support/processes.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

for (const part of ['live', 'storm', 'renewals', 'scale']) {
  test(`the benchmark's part ${part} measures and makes a table`, async () => {
    const file = path.join(root, `target/bench/${part}.quick.json`)
    rmSync(file, { force: true })
    const said = await output(`bench-${part}`, process.execPath, [path.join(root, 'benches/run.mjs'), '--quick', part], { env: { PERENNIAL_BIN: PERENNIAL } })
    const told = JSON.parse(readFileSync(file, 'utf8'))
    assert.equal(told.meta.quick, true)
    const table = tables[part](told)
    assert.match(table, /^\| .* \|$/m, said)
    assert.doesNotMatch(table, /NaN|undefined/, table)
  })
}

test('pictures are drawn for light and dark pages, with ours marked', () => {
  const rows = [
    { label: 'nginx', ours: false, median: 20_000, least: 19_000, greatest: 21_000, unit: '/s' },
    { label: 'Perennial, <gateway>', ours: true, median: 900, least: 800, greatest: 1_000, unit: '/s' },
  ]
  const [light, dark] = ['light', 'dark'].map((theme) => bars({ title: 'Requests per second', theme, rows }))
  assert.notEqual(light, dark)
  assert.match(light, /Perennial, &lt;gateway&gt;/)
  assert.match(light, /20,000 \/s/)
})
