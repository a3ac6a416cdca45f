// A day passes, by the clocks of provider and gateway alike, and somebody comes back with yesterday's cookie.

import { MovableClock } from '../support/clock.mjs'
import { askPatiently } from './evidence.mjs'
import { at } from './foreign.mjs'

const HOUR = 3_600

/**
 * Half of the sessions renew every hour in one tab while another sleeps; the other half sleep the whole day in both. The gateway is killed
 * once on the way. The clocks are set forward, an hour at a time: nobody waits a day, and nobody can tell.
 */
export async function day({ name, Store, sessions, say = () => {} }) {
  const clock = new MovableClock()
  try {
    return await at({ name, Store, lifetime: HOUR, sessions, env: clock.env }, async ({ people, provider, fleet }) => {
      const yesterday = people.map(({ cookie }) => cookie)
      const awake = people.filter((_, index) => index % 2 === 0)
      const wrong = []
      const ask = async (what, person, cookie) => {
        const answer = await askPatiently(person, cookie)
        if (answer.status !== 200) wrong.push(`${what}: ${answer.status} ${answer.text}`)
        person.take(answer)
        return answer
      }
      for (let hour = 1; hour <= 24; hour += 1) {
        clock.forward((HOUR + 1) * 1_000)
        await Promise.all(awake.map((person) => ask(`hour ${hour}`, person, person.cookie)))
        if (hour === 12) {
          await fleet.kill(fleet.gateways[0])
          await fleet.up(fleet.gateways[0])
        }
      }
      say('a day has passed')
      let shown = 0
      for (const [index, person] of people.entries()) {
        // Two tabs of yesterday, and one from the middle of the day where there was one.
        for (const cookie of [yesterday[index], yesterday[index], person.cookies[Math.floor(person.cookies.length / 2)]]) {
          await ask('a day later', person, cookie)
          shown += 1
        }
      }
      const expected = awake.length * 24 + (people.length - awake.length)
      return {
        count: `${people.length} sessions, ${shown} stale cookies, 24 h by the clock`,
        expect: {
          'answers other than 200': [wrong, []],
          'one redemption an hour, and one for who slept': [provider.events.filter(({ outcome }) => outcome === 'rotated').length, expected],
        },
      }
    })
  } finally {
    clock.stop()
  }
}
