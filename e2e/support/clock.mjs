// A clock that can be set forward for everybody: for this process, and through libfaketime for the programs it starts.

import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { temporaryFolder } from './processes.mjs'

/** Debian's package `libfaketime` answers a program's question for the date. Its timers go on as they are: they count from when it started. */
function library() {
  const found = readdirSync('/usr/lib').map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`).find((file) => existsSync(file))
  if (!found) throw new Error('libfaketime is missing: apt-get install libfaketime')
  return found
}

export class MovableClock {
  #ahead = 0
  #file = path.join(temporaryFolder(), 'ahead')
  #real = globalThis.Date

  constructor() {
    const clock = this
    const Real = this.#real
    globalThis.Date = class Date extends Real {
      constructor(...when) {
        super(...(when.length > 0 ? when : [Real.now() + clock.#ahead]))
      }

      static now() {
        return Real.now() + clock.#ahead
      }
    }
    this.#write()
  }

  /** What a program's environment must hold to go by this clock. */
  get env() {
    return { LD_PRELOAD: library(), FAKETIME_TIMESTAMP_FILE: this.#file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }
  }

  forward(milliseconds) {
    this.#ahead += milliseconds
    this.#write()
  }

  /** Programs read it at every question: they must never find half of it. */
  #write() {
    writeFileSync(`${this.#file}.new`, `+${this.#ahead / 1_000}s\n`)
    renameSync(`${this.#file}.new`, this.#file)
  }

  /** This process goes by the machine's clock again. */
  stop() {
    globalThis.Date = this.#real
  }
}
