// The judge of the proof is judged: which lost session could have been saved, and that the scenarios notice what they are there for.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { judgeLoss, redemptionsPerGeneration, refusals, standing } from '../proof/evidence.mjs'
import { play } from '../proof/index.mjs'
import { storm } from '../proof/storm.mjs'

const CALL_DEADLINE_MS = 2_000

/** Generation 1 was bought with the first refresh token; the second was spent from 1000 ms to 1010 ms, and its successor is number 3. */
const EVENTS = [
  { family: 1, serial: null, outcome: 'issued', at_ms: 0, duration_ms: 1 },
  { family: 1, serial: 1, outcome: 'rotated', at_ms: 500, duration_ms: 10 },
  { family: 1, serial: 2, outcome: 'rotated', at_ms: 1_010, duration_ms: 10 },
]
const CUT = { sent: 990, broken: 1_006 }
/** The case that no protocol saves; every row spoils one thing about it. */
const UNSAVABLE = { refreshClass: 'family', events: EVENTS, durable: 1, cutOff: [CUT] }

const withLast = (change) => EVENTS.with(-1, { ...EVENTS.at(-1), ...change })

const ROWS = [
  ['killed in the call', {}, false],
  ['the last try was refused', { events: [...EVENTS, { family: 1, serial: 2, outcome: 'reuse_detected_family_revoked', at_ms: 40_000, duration_ms: 1 }] }, false],
  ['single use is as strict', { refreshClass: 'single_use' }, false],
  ['killed before the provider was done with it', { cutOff: [{ sent: 999, broken: 1_001 }] }, false],
  ['killed with the answer on its way', { cutOff: [{ sent: 990, broken: 1_900 }] }, false],
  ['the reply was lost', { events: withLast({ outcome: 'reply_lost' }), cutOff: [] }, false],
  ['the reply came after the deadline', { events: withLast({ at_ms: 3_000, duration_ms: CALL_DEADLINE_MS }), cutOff: [] }, false],
  ['a forgiving class', { refreshClass: 'overlap:60' }, true],
  ['nothing was spent', { events: EVENTS.slice(0, 1) }, true],
  ['the successor was presented', { events: [...EVENTS, { family: 1, serial: 3, outcome: 'dropped', at_ms: 2_000, duration_ms: 1 }] }, true],
  ['the store has the successor', { durable: 2 }, true],
  ['nobody was killed', { cutOff: [] }, true],
  ['killed long before the request came', { cutOff: [{ sent: 890, broken: 901 }], events: withLast({ at_ms: 6_000 }) }, true],
  ['the provider took it up when its sender was dead', { cutOff: [{ sent: 890, broken: 901 }] }, false],
  ['killed when another request waited, sent after the answer', { cutOff: [{ sent: 1_011, broken: 1_012 }] }, true],
  ['the reply came just in time', { events: withLast({ at_ms: 2_999, duration_ms: CALL_DEADLINE_MS - 1 }), cutOff: [] }, true],
]

for (const [what, spoilt, savable] of ROWS) {
  test(`a loss is ${savable ? '' : 'not '}savable: ${what}`, async () => {
    const { events, durable, cutOff, ...circumstances } = { ...UNSAVABLE, ...spoilt }
    const others = [{ family: 2, serial: 3, outcome: 'rotated', at_ms: 5_000, duration_ms: 1 }]
    const person = { family: 1, cutOff, newestDurable: async () => durable }
    const judged = await judgeLoss(person, { ...circumstances, provider: { events: [...events, ...others] }, callDeadlineMs: CALL_DEADLINE_MS })
    assert.equal(judged.savable, savable, judged.why)
  })
}

test('an answer speaks of the session', () => {
  const challenge = { 'www-authenticate': 'Bearer error="invalid_token"' }
  for (const [status, headers, text, expected] of [
    [200, {}, 'anything', 'served'],
    [503, {}, '{"error":"renewal_suspended"}', 'suspended'],
    [401, challenge, '{"reason":"the provider does not know this token"}', 'refused'],
    [401, {}, '{"error":"not_signed_in"}', 'out'],
    [401, challenge, '{"error":"not_signed_in"}', 'out'],
    [302, { location: '/auth/signin' }, '', 'out'],
  ]) {
    assert.equal(standing({ status, headers, text }), expected, `${status} ${text}`)
  }
  assert.throws(() => standing({ status: 500, headers: {}, text: 'broken', url: '/api' }), /500: broken/)
})

test('redemptions are counted by token, and refusals are none of them', () => {
  const twice = { events: [...EVENTS, { family: 1, serial: 2, outcome: 'reused_ok_overlap:60' }, { family: 2, serial: 2, outcome: 'rotated' }] }
  assert.equal(redemptionsPerGeneration(twice), 2)
  assert.equal(redemptionsPerGeneration({ events: EVENTS }), 1)
  assert.equal(redemptionsPerGeneration({ events: [] }), 0)
  const refused = ['rejected_spent', 'rejected', 'reuse_detected_family_revoked', 'rotated', 'dropped'].map((outcome) => ({ outcome }))
  assert.equal(refusals({ events: refused }).length, 3)
})

test('the storm notices gateways that share no store', async () => {
  class Nothing {
    url = 'memory:'
    static start = async () => new Nothing()
    stop = async () => {}
  }
  const sabotaged = { name: 'sabotaged-storm', play: storm, fixed: { Store: Nothing, gateways: 3, tabs: 12 }, short: { sessions: 1, expiries: 3 } }
  const { broken, signOuts } = await play(sabotaged, 'short', () => {})
  assert.match(broken.join('\n'), /refresh tokens refused/)
  assert.ok(signOuts > 0, 'a provider that detects reuse ends the session')
})
