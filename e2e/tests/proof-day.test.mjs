// The scenario of the proof that sets the clock of its process forward, and so shares it with nobody.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SCENARIOS, play } from '../proof/index.mjs'

for (const scenario of SCENARIOS.filter(({ ownProcess }) => ownProcess)) {
  test(`${scenario.name}: ${scenario.what}`, async () => {
    const { broken } = await play(scenario, 'short', () => {})
    assert.deepEqual(broken, [])
  })
}
