// One thing goes wrong at the worst moment, for many sessions at once: who is still signed in when it is over.

import { setMaxListeners } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'

import { Person } from '../support/person.mjs'
import { until, untilTime } from '../support/wait.mjs'
import { isRedemption } from '../support/witness.mjs'
import { isStrict, judge, outcome, refusals, standing, together } from './evidence.mjs'
import { openScene } from './scene.mjs'

const LIFETIME = 6
/** The default. */
const CALL_DEADLINE_MS = 10_000
/** Where the provider is slower than that, so that nobody has to wait long for it to be too slow. */
const BRIEF_DEADLINE_MS = 4_000
const BRIEF_LEASE_MS = BRIEF_DEADLINE_MS + 5_000

/** What happens to the token requests of a renewal, at a provider of any class. It strikes as many times as there are sessions. */
const STRIKES = {
  replies: {
    begin: (provider, sessions) => provider.behave({ grant: 'refresh_token', lose_reply: sessions }),
    struck: ({ outcome: seen }) => seen === 'reply_lost',
    spends: true,
  },
  requests: {
    begin: (provider, sessions) => provider.behave({ grant: 'refresh_token', drop_before_commit: sessions }),
    struck: ({ outcome: seen }) => seen === 'dropped',
    spends: false,
  },
  // The provider goes on with a request whose sender has given up, and is done with it when every lease has run out.
  slow: {
    begin: (provider) => provider.behave({ grant: 'refresh_token', delay_ms: BRIEF_LEASE_MS + 2_000 }),
    struck: (event) => isRedemption(event) && event.duration_ms > BRIEF_LEASE_MS,
    spends: true,
    callDeadlineMs: BRIEF_DEADLINE_MS,
  },
}

/** `strike` at providers of each of `classes`, with `sessions` at each of them. */
export async function lost({ name, Store, gateways, strike, classes, sessions, say = () => {} }) {
  const rows = await Promise.all(
    classes.map(async (refreshClass) => {
      const row = await lostAt(`${name}-${refreshClass.replace(':', '-')}`, { Store, gateways, strike: STRIKES[strike], refreshClass, sessions })
      say(`${refreshClass}: ${sessions - row.savable - row.unsavable} of ${sessions} sessions saved`)
      return row
    }),
  )
  return together(rows, `${classes.length * sessions} sessions, ${classes.length} classes`)
}

async function lostAt(name, { Store, gateways, strike, refreshClass, sessions }) {
  const { callDeadlineMs = CALL_DEADLINE_MS } = strike
  const renewal = { call_deadline: `${callDeadlineMs}ms`, wait_max: '3s' }
  const scene = await openScene({ name, Store, gateways, refreshClass, lifetime: LIFETIME, renewal })
  const { provider, fleet, close } = scene
  try {
    const people = await signedIn(fleet, sessions)
    await strike.begin(provider, sessions)
    const seen = await Promise.all(people.map((person) => meet(person, { tabs: 10 })))
    // After the first failures the gateways leave the provider alone for a while: some sessions have their turn later.
    await until('as many strikes as there are sessions', async () => {
      const answers = await Promise.all(people.map((person) => person.ask()))
      answers.forEach((answer, index) => people[index].take(answer))
      seen.push(answers.map(standing))
      return provider.events.filter(strike.struck).length >= sessions
    }, { within: 90_000, every: 200 })
    await provider.behave({ replace: true, class: refreshClass === 'family' ? 'rotating' : refreshClass })
    const outcomes = await Promise.all(people.map((person) => outcome(person)))
    await fleet.stop()
    const row = await judge(people, outcomes, { provider, refreshClass, callDeadlineMs })
    const lost = outcomes.filter((one) => one === 'lost').length
    return {
      ...row,
      expect: {
        [`${refreshClass}: lost although they could be saved`]: [row.why, []],
        [`${refreshClass}: told to sign in while it was going wrong`]: [seen.flat().filter((one) => one === 'out').length, 0],
        ...(!isStrict(refreshClass) || !strike.spends ? { [`${refreshClass}: lost`]: [lost, 0] } : {}),
      },
    }
  } finally {
    await close()
  }
}

/** Callers who hang up when the provider has their renewal in hand. */
export async function hangUps({ name, Store, gateways, sessions, tabs, say = () => {} }) {
  return calmly({ name, Store, gateways, sessions, behaviour: 'delay_after_commit_ms=400', say }, async ({ people, provider, fleet }) => {
    const before = await presented(provider)
    const callers = new AbortController()
    setMaxListeners(0, callers.signal)
    const calls = people.flatMap((person) =>
      Array.from({ length: tabs }, (_, tab) => person.refresh(fleet.gateways[tab % fleet.gateways.length], { signal: callers.signal }).catch((error) => error)),
    )
    await until('the provider to have every renewal in hand', async () => (await presented(provider)) >= before + people.length, { every: 5 })
    callers.abort()
    const aborted = (await Promise.all(calls)).filter((one) => one?.name === 'AbortError').length
    await until('the provider to be done with them', () => provider.events.filter(isRedemption).length >= people.length)
    return { 'somebody hung up': [aborted > 0, true] }
  })
}

/** Gateways that are asked to end when the provider has a renewal in hand: they end when it is done, and with it. */
export async function shutdowns({ name, Store, gateways, sessions, say = () => {} }) {
  return calmly({ name, Store, gateways, sessions, behaviour: 'delay_after_commit_ms=400', say }, async ({ people, provider, fleet }) => {
    const ends = []
    const answers = []
    for (const [index, person] of people.entries()) {
      const gateway = fleet.gateways[index % fleet.gateways.length]
      const before = await presented(provider)
      const call = person.refresh(gateway)
      await until('the provider to have the renewal in hand', async () => (await presented(provider)) > before, { every: 5 })
      gateway.alive = false
      ends.push(await gateway.program.stop({ within: 40_000 }))
      answers.push((await call).status)
      await fleet.up(gateway)
      say(`${index + 1} of ${people.length} shutdowns`)
    }
    return { 'exit codes': [new Set(ends), new Set([0])], 'callers answered': [new Set(answers), new Set([200])] }
  })
}

/** The store is gone when the tokens are to be saved; half of the callers are gone as well, so that no cookie has them. */
export async function storeStopped({ name, Store, gateways, sessions, say = () => {} }) {
  return calmly({ name, Store, gateways, sessions, behaviour: 'delay_after_commit_ms=600', say }, async ({ people, provider, fleet, store }) => {
    for (const [index, person] of people.entries()) {
      const before = await presented(provider)
      const caller = new AbortController()
      const call = person.refresh(fleet.gateways[index % fleet.gateways.length], { signal: caller.signal }).catch((error) => error)
      const answered = provider.next('the renewal', (event) => event.family === person.family && isRedemption(event))
      await until('the provider to have the renewal in hand', async () => (await presented(provider)) > before, { every: 5 })
      await store.down()
      if (index % 2 === 0) caller.abort()
      await answered
      const answer = await call
      if (answer.setCookies) person.take(answer)
      await store.up()
      await until('the gateways to see the store', async () => {
        const ready = await Promise.all(fleet.gateways.map((gateway) => fleet.request(gateway, '/readyz')))
        return ready.every(({ status }) => status === 200)
      }, { within: 30_000 })
      say(`${index + 1} of ${people.length} renewals without a store`)
    }
    return {}
  })
}

/** The store goes away and comes back, `times` times, while sessions renew without pause. `outage` takes it away and brings it back. */
export async function storeOutages({ name, Store, gateways, sessions, times, outage, say = () => {} }) {
  return calmly({ name, Store, gateways, sessions, renewal: { min_interval: '1ms' }, say }, async ({ people, fleet, store }) => {
    const round = { over: false, out: 0 }
    const tabs = people.flatMap((person) => [renewOnAndOn(person, round), renewOnAndOn(person, round)])
    try {
      for (let time = 1; time <= times; time += 1) {
        await pause(200)
        await outage(store)
        await until('the gateways to see the store', async () => {
          const ready = await Promise.all(fleet.gateways.map((gateway) => fleet.request(gateway, '/readyz')))
          return ready.every(({ status }) => status === 200)
        }, { within: 60_000 })
        say(`${time} of ${times} outages of the store`)
      }
    } finally {
      round.over = true
      await Promise.all(tabs)
    }
    return { 'told to sign in meanwhile': [round.out, 0] }
  })
}

/**
 * A family provider at which no answer is lost: whatever `act` does, nobody may be signed out and no refresh token be refused.
 * `act` answers with further expectations.
 */
async function calmly({ name, Store, gateways, sessions, behaviour, renewal, say }, act) {
  const scene = await openScene({ name, Store, gateways, refreshClass: 'family', lifetime: 60, behaviour, renewal: { wait_max: '3s', ...renewal } })
  const { provider, fleet, close } = scene
  try {
    const people = await signedIn(fleet, sessions)
    // Between two renewals on demand lies at least a second.
    await untilTime(provider.events.at(-1).at_ms + 1_000)
    const expect = await act({ ...scene, people })
    say('every session is asked to renew')
    const outcomes = await Promise.all(people.map((person) => outcome(person)))
    await fleet.stop()
    const row = await judge(people, outcomes, { provider, refreshClass: 'family', callDeadlineMs: CALL_DEADLINE_MS })
    return together([{
      ...row,
      expect: { 'sessions lost': [outcomes.filter((one) => one === 'lost').length, 0], 'refresh tokens refused': [refusals(provider).length, 0], ...expect },
    }], `${sessions} sessions, ${provider.events.filter(isRedemption).length} renewals`)
  } finally {
    await close()
  }
}

/** One after the other: the provider's word alone says whose tokens are whose. */
export async function signedIn(fleet, sessions) {
  const people = []
  while (people.length < sessions) people.push(await Person.signIn(fleet))
  return people
}

/** All tabs ask at once when the session is due, its access token still alive. Answers with how they were treated. */
async function meet(person, { tabs }) {
  const { fleet } = person
  await untilTime(fleet.provider.newestToken(person.family).at_ms + LIFETIME * 1_000 * (5 / 6) + 60)
  const { cookie } = person
  const answers = await Promise.all(Array.from({ length: tabs }, (_, tab) => person.ask(fleet.gateways[tab % fleet.gateways.length], { cookie })))
  answers.forEach((answer) => person.take(answer))
  return answers.map(standing)
}

async function renewOnAndOn(person, round) {
  while (!round.over) {
    const answer = await person.refresh()
    person.take(answer)
    const now = standing(answer)
    if (now === 'out') round.out += 1
    // Nothing renews while the store is away: a busy loop would only take the machine from those who bring it back.
    if (now !== 'served' || !answer.json().renewed) await pause(20)
  }
}

/** How often refresh tokens have arrived at the provider, answered or not. */
async function presented(provider) {
  const { families } = await provider.state()
  return families.flatMap((family) => family.refresh_tokens).reduce((sum, token) => sum + token.presented, 0)
}
