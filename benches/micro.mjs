// Part 5: single steps. Criterion measures them (`cargo bench`, which the command runs before this), here its estimates are read.

import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../target/criterion')

export async function micro({ say }) {
  const steps = readdirSync(folder, { withFileTypes: true }).filter((one) => one.isDirectory()).flatMap(({ name }) => {
    const read = (file) => JSON.parse(readFileSync(path.join(folder, name, 'new', file), 'utf8'))
    try {
      const { median } = read('estimates.json')
      return [{ step: read('benchmark.json').title, ns: median.point_estimate, low: median.confidence_interval.lower_bound, high: median.confidence_interval.upper_bound }]
    } catch (error) {
      // Criterion keeps folders of its own there, without estimates.
      if (error.code === 'ENOENT') return []
      throw error
    }
  })
  if (steps.length === 0) throw new Error('Criterion has measured nothing')
  for (const { step, ns } of steps) say(`${step}: ${ns < 10_000 ? `${ns.toFixed(0)} ns` : `${(ns / 1_000).toFixed(1)} us`}`)
  return { steps }
}
