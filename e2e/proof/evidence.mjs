// What is counted, and what counts as lost: from what the provider saw, what lies in the store, and what the browsers were told.

import { until } from '../support/wait.mjs'
import { isRedemption, isRefusal } from '../support/witness.mjs'

/** Whether a refresh token that was spent is refused by this class from then on. At the others it can be presented again for a while. */
export const isStrict = (refreshClass) => ['family', 'single_use'].includes(refreshClass)

/** The most redemptions that one refresh token saw. At a forgiving provider a second one is how a session in doubt is saved. */
export function redemptionsPerGeneration(provider) {
  const counts = new Map()
  for (const event of provider.events.filter(isRedemption)) {
    const generation = `${event.family}/${event.serial}`
    counts.set(generation, (counts.get(generation) ?? 0) + 1)
  }
  return Math.max(0, ...counts.values())
}

/** Refresh tokens that the provider refused: spent, unknown, revoked. */
export const refusals = (provider) => provider.events.filter(isRefusal)

/**
 * How an answer speaks of the session: `served`; `suspended`, signed in but without a token just now, which says 503; `refused`, by the app,
 * whose 401 is its own; or `out`, told by the gateway to sign in.
 */
export function standing({ status, headers, text, url }) {
  if (status === 200) return 'served'
  if (status === 503) return 'suspended'
  if (status === 401 && headers['www-authenticate'] && !text.includes('"not_signed_in"')) return 'refused'
  if (status === 401 || status === 302 || status === 303) return 'out'
  throw new Error(`${url} answered ${status}: ${text}`)
}

/** Asks the app, and again while it is told to come back: a slow machine is no fault. */
export function askPatiently(person, cookie) {
  return until(`session ${person.family} to be served or not`, async () => {
    const answer = await person.ask(undefined, { cookie })
    return standing(answer) !== 'suspended' && answer
  }, { within: 120_000, every: 500 })
}

/** Asks for a renewal until the provider has given new tokens, or the gateway says that the session is over. */
export async function outcome(person, { within = 120_000, every = 250 } = {}) {
  return until(`session ${person.family} to be renewed or over`, async () => {
    const answer = await person.refresh()
    const now = standing(answer)
    person.take(answer)
    if (now === 'out') return 'lost'
    if (now !== 'served' || !answer.json().renewed) return false
    // Not our word alone: the provider's own resource takes the new token.
    const proof = standing(await person.ask())
    return proof === 'served' ? 'saved' : proof === 'out' ? 'lost' : false
  }, { within, every })
}

/** How long a request may lie before a busy provider takes it up. The protocol reckons with 30 s; on one machine it is moments. */
const LINGER_MS = 5_000

/**
 * Whether the protocol could have saved a session that was lost.
 *
 * It could not if, and only if, all of this is so:
 *   1. the class is a strict one: after a lost answer nobody but the provider has the successor;
 *   2. the provider spent the session's newest refresh token and answered with a successor that was never presented;
 *   3. no durable place holds that successor: neither the record in the store nor any cookie that reached the browser is of its generation;
 *   4. the answer was cut off by something outside the protocol: the provider lost it on the way, or was slower than the call's deadline, or
 *      the gateway was killed while the request that had begun the renewal waited for it. (It waits to the end here: `patience` is long.)
 *      What a dead gateway had sent the provider may take up a little later.
 * To be asked when the gateways are down, so that a store in a file can be read.
 */
export async function judgeLoss(person, { provider, refreshClass, callDeadlineMs }) {
  const strict = isStrict(refreshClass)
  const mine = provider.events.filter(({ family }) => family === person.family)
  const last = mine.findLast(isRedemption)
  if (!strict || last === undefined) return { savable: true, why: strict ? 'nothing was ever spent' : `${refreshClass} forgives` }
  // At a strict provider each redemption makes one successor: serial n + 1 is that of generation n.
  const successor = last.serial + 1
  if (mine.some(({ serial }) => serial === successor)) return { savable: true, why: 'we had presented the successor' }
  const durable = await person.newestDurable()
  if (durable + 1 >= successor) return { savable: true, why: `generation ${durable} was durable, and it holds the successor` }
  const began = last.at_ms - last.duration_ms
  if (last.outcome === 'reply_lost') return { savable: false, why: 'the reply was lost' }
  if (last.duration_ms >= callDeadlineMs) return { savable: false, why: 'the reply was late' }
  if (person.cutOff.some(({ sent, broken }) => sent <= last.at_ms && began <= broken + LINGER_MS)) return { savable: false, why: 'killed in the call' }
  return { savable: true, why: `the answer arrived, at ${last.at_ms}; cut off were ${JSON.stringify(person.cutOff)}` }
}

/** Sorts the lost among `people` into savable and not, and counts redemptions where each is final; the gateways must be down. */
export async function judge(people, outcomes, circumstances) {
  const { provider, refreshClass } = circumstances
  const row = { savable: 0, unsavable: 0, why: [], redemptions: isStrict(refreshClass) ? redemptionsPerGeneration(provider) : undefined }
  for (const [index, person] of people.entries()) {
    if (outcomes[index] === 'saved') continue
    const { savable, why } = await judgeLoss(person, circumstances)
    if (savable) row.why.push(`session ${person.family}: ${why}`)
    row[savable ? 'savable' : 'unsavable'] += 1
  }
  return row
}

/** Several plays of one scenario as one row of the table. */
export function together(rows, count) {
  const total = (which) => rows.reduce((sum, row) => sum + row[which], 0)
  return {
    count,
    savable: total('savable'),
    unsavable: total('unsavable'),
    redemptions: Math.max(...rows.map(({ redemptions }) => redemptions ?? 0)),
    signOuts: total('savable') + total('unsavable'),
    expect: Object.assign({}, ...rows.map(({ expect }) => expect), { 'redemptions of one generation at a strict provider': [rows.every(({ redemptions }) => redemptions === undefined || redemptions <= 1), true] }),
  }
}
