// `perennial-bench`, whose last line is what it measured.

import { output } from '../e2e/support/processes.mjs'
import { BENCH } from './peers/perennial.mjs'

export async function bench(parameters, options) {
  const text = await output('bench-binary', BENCH, parameters.map(String), options)
  return JSON.parse(text.trim().split('\n').at(-1))
}
