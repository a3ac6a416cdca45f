// Gateways are killed at random moments while sessions renew without pause: what the protocol can save is saved.

import { randomInt } from 'node:crypto'

import { Person } from '../support/person.mjs'
import { until, untilTime } from '../support/wait.mjs'
import { isRedemption } from '../support/witness.mjs'
import { judge, outcome, standing, together } from './evidence.mjs'
import { openScene } from './scene.mjs'

/** The default. The lease is this and 5 s, the drain 30 s: a lost call is settled within a minute. */
const CALL_DEADLINE_MS = 10_000

/**
 * `plan` says how many kills for each class, as `{ family: 10, 'overlap:60': 5 }`. The classes have a provider and gateways each and are
 * killed one after the other; what is in doubt then is settled for all of them together, because that takes the drain's 30 s.
 */
export async function kills({ name, Store, gateways, sessions, plan, say = () => {} }) {
  const scenes = []
  try {
    for (const [refreshClass, count] of Object.entries(plan)) {
      const scene = await open(`${name}-${refreshClass.replace(':', '-')}`, { Store, gateways, refreshClass })
      scenes.push(scene)
      for (let kill = 1; kill <= count; kill += 1) {
        await killOnce(scene, sessions)
        if (kill % 10 === 0 || kill === count) say(`${refreshClass}: ${kill} of ${count} kills, ${scene.people.length} sessions`)
      }
    }
    say('what is in doubt is settled')
    const rows = await Promise.all(scenes.map(settle))
    return asOne(rows, scenes)
  } finally {
    await Promise.all(scenes.map((scene) => scene.close()))
  }
}

async function open(name, options) {
  const scene = await openScene({
    name,
    ...options,
    lifetime: 20,
    // A few milliseconds on either side of the commit, so that kills fall before it, into it and after it.
    behaviour: 'delay_ms=4,delay_after_commit_ms=4',
    renewal: {
      call_deadline: `${CALL_DEADLINE_MS}ms`,
      // Whoever starts a renewal waits for its end, so that a request that broke off tells of a call that did.
      patience: '30s',
      // Nobody waits long for the intent of a dead gateway: its session is asked again in the end.
      wait_max: '500ms',
      min_interval: '1ms',
    },
  })
  return Object.assign(scene, { people: [], busy: [], outcomes: new Map() })
}

/** Sessions renew as fast as they can, each from two tabs, when one gateway dies; then it comes back. */
async function killOnce(scene, sessions) {
  const { fleet, people } = scene
  while (scene.busy.length < sessions) {
    const person = await Person.signIn(fleet)
    people.push(person)
    scene.busy.push({ person, renewed: 0 })
  }
  const round = { over: false }
  const tabs = scene.busy.flatMap((session) => {
    session.renewed = 0
    session.stuck = false
    return [renewWithoutPause(session, round), renewWithoutPause(session, round)]
  })
  try {
    await until('the sessions to renew', () => scene.busy.every(({ renewed, stuck }) => renewed > 0 || stuck), { within: 30_000, every: 1 })
    await untilTime(Date.now() + randomInt(60))
    const victim = fleet.any()
    await fleet.kill(victim)
    // Where others live on they serve for a moment alone, then the dead one is replaced.
    if (fleet.gateways.length > 1) await untilTime(Date.now() + randomInt(60))
    round.over = true
    await Promise.all(tabs)
    await fleet.up(victim)
  } finally {
    round.over = true
  }
  // A session of which the next request does not renew is in doubt, or over. Its tab goes on asking every second, because a window that
  // nobody comes in while it is open saves nobody; another session takes its place.
  const renewed = await Promise.all(scene.busy.map(async ({ person }) => {
    const answer = await person.refresh()
    person.take(answer)
    return standing(answer) === 'served' && answer.json().renewed
  }))
  for (const { person } of scene.busy.filter((_, index) => !renewed[index])) scene.outcomes.set(person, askOn(person))
  scene.busy = scene.busy.filter((_, index) => renewed[index])
}

/** Until it is renewed or over, in spite of gateways that die meanwhile. A failure is told when it is asked for. */
function askOn(person) {
  const asked = outcome(person, { every: 1_000, within: 600_000 })
  asked.catch(() => {})
  return asked
}

/** One tab. It takes no 401 for an answer: whoever is told to sign in again is judged in the end. */
async function renewWithoutPause(session, round) {
  const { person } = session
  while (!round.over && !session.stuck) {
    try {
      const answer = await person.refresh()
      person.take(answer)
      if (standing(answer) !== 'served') session.stuck = true
      else if (answer.json().renewed) session.renewed += 1
    } catch (error) {
      if (!['ECONNRESET', 'ECONNREFUSED', 'EPIPE'].includes(error.code)) throw error
      if (person.fleet.gateways.length === 1) return
    }
  }
}

/** Every session that ever was either renews once more or is over. */
async function settle(scene) {
  const { people, provider, fleet, refreshClass } = scene
  const outcomes = await Promise.all(people.map((person) => scene.outcomes.get(person) ?? askOn(person)))
  await fleet.stop()
  const row = await judge(people, outcomes, { provider, refreshClass, callDeadlineMs: CALL_DEADLINE_MS })
  return { ...row, expect: { [`${refreshClass}: lost although they could be saved`]: [row.why, []] } }
}

function asOne(rows, scenes) {
  const kills = scenes.reduce((sum, { fleet }) => sum + fleet.kills, 0)
  const sessions = scenes.reduce((sum, { people }) => sum + people.length, 0)
  const renewals = scenes.reduce((sum, { provider }) => sum + provider.events.filter(isRedemption).length, 0)
  return together(rows, `${kills} kills, ${sessions} sessions, ${renewals} renewals`)
}
