// Part 1: somebody is signed in and nothing is due. All subjects stand before the same app, at the same provider, and take turns in an order
// that is drawn anew for each round.

import { readFileSync } from 'node:fs'

import { send } from '../e2e/support/http.mjs'
import { startApache } from './peers/apache.mjs'
import { startAuthJs } from './peers/authjs.mjs'
import { BODIES, selfSigned, startApp, startPlain } from './peers/nginx.mjs'
import { startForwardAuth, startGateway, startLibrary } from './peers/perennial.mjs'
import { startProvider } from './peers/provider.mjs'
import { signedIn } from './peers/sign-in.mjs'
import { busy, cost } from './machine.mjs'
import { wrk } from './wrk.mjs'

/** `open`: nobody has to sign in. `peer`: none of ours. `quick`: in the smoke form as well. */
const SUBJECTS = [
  { name: 'nginx', what: 'nginx, proxy_pass, no sign-in', start: startPlain, open: true, tls: true, quick: true },
  { name: 'gateway', what: 'Perennial, gateway', start: startGateway, tls: true, quick: true },
  { name: 'forward-auth', what: 'Perennial, asked by nginx', start: startForwardAuth, quick: true },
  { name: 'axum', what: 'axum alone, no sign-in', start: (stage) => startLibrary({ ...stage, layer: false }), open: true, quick: true },
  { name: 'library', what: 'Perennial, library in axum', start: startLibrary, quick: true },
  { name: 'mod_auth_openidc', what: 'Apache, mod_auth_openidc', start: startApache, tls: true, peer: true },
  { name: 'authjs', what: 'Auth.js, SvelteKit', start: startAuthJs, peer: true },
]

const BASE = { connections: 64, body: '100', keepAlive: true, tls: false }
/** One thing differs from the first at a time. */
const WORKLOADS = [
  { name: '64 connections', rounds: 5 },
  { name: '1 connection', connections: 1 },
  { name: '512 connections', connections: 512 },
  { name: 'bodies of 10 KiB', body: '10k' },
  { name: 'bodies of 1 MiB', body: '1m' },
  { name: 'a connection for each request', keepAlive: false },
  { name: 'TLS', tls: true },
  { name: 'TLS, a connection for each request', tls: true, keepAlive: false },
].map((one) => ({ ...BASE, rounds: 3, ...one }))

const SECONDS = 3
const QUICK = { rounds: 1, seconds: 1, workloads: ['64 connections', 'TLS'] }
/** So long each subject is warmed up before its first round. */
const WARM_SECONDS = 1

export async function live({ quick, say }) {
  const stage = await openStage(quick)
  try {
    const rounds = []
    for (const workload of WORKLOADS.filter(({ name }) => !quick || QUICK.workloads.includes(name))) {
      const subjects = stage.subjects.filter(({ tls }) => tls === workload.tls)
      for (let round = 1; round <= (quick ? QUICK.rounds : workload.rounds); round += 1) {
        for (const subject of shuffled(subjects)) {
          const figures = await measured(subject, workload, quick ? QUICK.seconds : SECONDS)
          if (figures) rounds.push({ workload: workload.name, subject: subject.name, round, ...figures })
        }
        say(`${workload.name}, round ${round}: ${rounds.filter((one) => one.workload === workload.name && one.round === round).map((one) => `${one.subject} ${Math.round(one.perSecond)}/s ${one.cpu.toFixed(0)} us`).join(', ')}`)
      }
    }
    return { subjects: SUBJECTS.map(({ name, what }) => ({ name, what })), workloads: WORKLOADS, rounds }
  } finally {
    await stage.close()
  }
}

/** The app, the provider, and every subject with somebody signed in. */
async function openStage(quick) {
  const closing = []
  const close = async () => {
    while (closing.length > 0) await closing.pop()()
  }
  try {
    const app = await startApp()
    closing.push(() => app.stop())
    const provider = await startProvider()
    closing.push(() => provider.stop())
    const tls = selfSigned()
    const subjects = []
    for (const one of SUBJECTS) {
      if (quick && !one.quick) continue
      for (const over of one.tls ? [undefined, tls] : [undefined]) {
        const running = await one.start({ app, provider, tls: over })
        closing.push(() => running.stop())
        const subject = { ...running, name: one.name, peer: one.peer === true, tls: over !== undefined, authority: over && readFileSync(over.certificate) }
        subject.cookie = one.open ? undefined : await signedIn(subject, provider, '/body/100')
        subject.idle = cost(subject.pids).rss
        subjects.push(subject)
      }
    }
    return { subjects, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function measured(subject, { connections, body, keepAlive }, seconds) {
  const url = `${subject.url}/body/${body}`
  const headers = { ...(subject.cookie && { Cookie: subject.cookie }), ...(!keepAlive && { Connection: 'close' }) }
  await mustBeGood(url, subject, body)
  if (!subject.warm) await wrk(url, { connections, seconds: WARM_SECONDS, headers })
  subject.warm = true
  const before = { ...cost(subject.pids), ...machine() }
  const told = await wrk(url, { connections, seconds, headers })
  const after = { ...cost(subject.pids), ...machine() }
  // A peer that answers nobody in a round has no figures for it.
  if (told.requests === 0 && subject.peer) return undefined
  const share = told.errors / told.requests
  // What a peer fails at is told in the table; of ours, and of what all are compared with, nothing fails.
  if (told.requests === 0 || (share > ERRORS_MAX && !subject.peer)) throw new Error(`${subject.name}: ${told.errors} errors in ${told.requests} answers`)
  if (told.bytes < (told.requests - told.errors) * BODIES[body]) throw new Error(`${subject.name}: answers without their bodies`)
  await mustBeGood(url, subject, body)
  return {
    perSecond: told.requests / told.seconds,
    p50: told.p50,
    p99: told.p99,
    cpu: (after.cpu - before.cpu) / told.requests,
    rss: after.rss,
    idle: subject.idle,
    processes: after.processes,
    /** Of its answers, those that were none or not good. */
    failed: share,
    /** The share of the machine that the hypervisor gave to others meanwhile. */
    steal: (after.steal - before.steal) / (told.seconds * 1e6),
  }
}

/** wrk counts neither connections that had to be opened again nor redirects; more of these errors than this and it measured something else. */
const ERRORS_MAX = 0.001

const machine = () => ({ steal: busy().steal })

/** The answer is the app's, and so the session is alive. */
async function mustBeGood(url, { name, cookie, authority }, body) {
  const answer = await send(url, { headers: { cookie }, authority })
  if (answer.status !== 200 || answer.text.length !== BODIES[body]) throw new Error(`${name} answers ${answer.status}: ${answer.text.slice(0, 500)}`)
}

function shuffled(list) {
  const all = [...list]
  for (let last = all.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[all[last], all[other]] = [all[other], all[last]]
  }
  return all
}
