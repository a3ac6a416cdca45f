// The scenarios of the proof in their short form; `cargo xtask proof` plays the long one. What they are about: docs/proof.md.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { SCENARIOS, play } from '../proof/index.mjs'

// Most of them mostly wait for tokens to die and for lost requests to be gone, and share nothing with their neighbours.
describe('proof', { concurrency: 4 }, () => {
  for (const scenario of SCENARIOS.filter(({ ownProcess }) => !ownProcess)) {
    test(`${scenario.name}: ${scenario.what}`, async (t) => {
      const { broken, ...row } = await play(scenario, 'short', () => {})
      t.diagnostic(JSON.stringify(row))
      assert.deepEqual(broken, [])
    })
  }
})
