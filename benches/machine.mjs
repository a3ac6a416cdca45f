// The machine as the kernel tells of it: how busy it is, and what certain processes took of it.

import { readFileSync, readdirSync } from 'node:fs'
import os from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'

/** The kernel counts in hundredths of a second (USER_HZ), on every architecture that Linux still runs on. */
const TICK_US = 10_000
/** A machine counts as quiet when others take less than this of one core. */
const QUIET_CORES = 0.15
const LOOK_SECONDS = 2

/** Microseconds of CPU that all processes took since the start, and that the hypervisor gave to somebody else. */
export function busy() {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0].split(/\s+/).slice(1).map(Number)
  return { busy: (user + nice + system + irq + softirq) * TICK_US, steal: steal * TICK_US }
}

/** Waits until nobody else uses the machine, at most so many minutes; answers whether nobody does. */
export async function quiet({ minutes, say }) {
  const deadline = Date.now() + minutes * 60_000
  for (let told = false; ; ) {
    const others = await load()
    if (others < QUIET_CORES) return { quiet: true, others }
    if (Date.now() > deadline) return { quiet: false, others }
    if (!told) say(`others use ${others.toFixed(2)} cores; waiting up to ${minutes} min for a quiet machine`)
    told = true
  }
}

/** How many cores are in use, over two seconds in which we do nothing. */
async function load() {
  const [from, at] = [busy(), performance.now()]
  await pause(LOOK_SECONDS * 1_000)
  return (busy().busy - from.busy) / ((performance.now() - at) * 1_000)
}

/**
 * Connections that found no room to wait until they are accepted, on the whole machine since its start. They are not refused: their first
 * packet is sent again after a second.
 */
export function turnedAway() {
  const [names, values] = readFileSync('/proc/net/netstat', 'latin1').split('\n').filter((line) => line.startsWith('TcpExt:')).map((line) => line.split(' '))
  return Number(values[names.indexOf('ListenDrops')])
}

/** Microseconds of CPU of these processes and all their descendants, and the memory that they hold, in KiB. */
export function cost(pids) {
  const all = family(pids)
  return { cpu: sum(all.map(({ cpu }) => cpu)), rss: sum(all.map(({ pid }) => memory(pid))), processes: all.length }
}

/** These processes and all their descendants. */
function family(pids) {
  const all = running()
  const inside = new Set(pids)
  // Children were born after their parents, but numbers begin again: look until nothing is added.
  for (let before = -1; before !== inside.size; ) {
    before = inside.size
    for (const { pid, parent } of all) if (inside.has(parent)) inside.add(pid)
  }
  return all.filter(({ pid }) => inside.has(pid))
}

/** Whatever ends us ends the workers of this process too: they outlive a master that is killed. */
export function endWithUs(pid) {
  process.prependListener('exit', () => {
    for (const one of family([pid])) {
      try {
        process.kill(one.pid, 'SIGKILL')
      } catch (error) {
        if (error.code !== 'ESRCH') throw error
      }
    }
  })
}

function running() {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    const text = read(`/proc/${name}/stat`)
    if (text === undefined) return []
    // The name of the program is in brackets, and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return [{ pid: Number(name), parent: Number(fields[1]), cpu: (Number(fields[11]) + Number(fields[12])) * TICK_US }]
  })
}

/** The proportional set size: pages that several processes share count once. */
function memory(pid) {
  return Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1] ?? 0)
}

/** A process may be gone by now. */
function read(file) {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return undefined
  }
}

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0)

/** What this ran on, without naming the machine. */
export function description() {
  const [cpu] = os.cpus()
  return { cores: os.availableParallelism(), cpu: cpu?.model ?? 'unknown', memory_gib: Math.round(os.totalmem() / 2 ** 30), kernel: os.release().split('-')[0], node: process.version }
}
