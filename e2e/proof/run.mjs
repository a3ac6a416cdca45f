// Plays one scenario: `node proof/run.mjs NAME short|long`. Its last line is `PROOF` and the row as JSON. `--list` names all as JSON.

import { SCENARIOS, play } from './index.mjs'

const LIMIT_MINUTES = 20
const [name, size = 'long'] = process.argv.slice(2)
if (name === '--list') {
  console.log(JSON.stringify(SCENARIOS.map(({ name, what }) => ({ name, what }))))
} else {
  const scenario = SCENARIOS.find((one) => one.name === name)
  if (!scenario || !['short', 'long'].includes(size)) {
    console.error(`name one of ${SCENARIOS.map(({ name }) => name).join(', ')}, and short or long`)
    process.exit(2)
  }
  // Nothing here waits for ever, but a proof that never ends says nothing.
  setTimeout(() => {
    console.error(`${name} did not end within ${LIMIT_MINUTES} minutes`)
    process.exit(3)
  }, LIMIT_MINUTES * 60_000).unref()
  const row = await play(scenario, size, (line) => console.log(`${name}: ${line}`))
  console.log(`PROOF ${JSON.stringify(row)}`)
  process.exitCode = row.broken.length === 0 ? 0 : 1
}
