// `npm run dev` of examples/sveltekit in Chromium: provider, gateway and Vite from one command, before the gateway and behind it.

import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { launchBrowser, openPage, screenshot } from '../support/browser.mjs'
import { PERENNIAL, Program, freePort } from '../support/processes.mjs'
import { send } from '../support/http.mjs'
import { MODES } from '../support/sveltekit.mjs'
import { until } from '../support/wait.mjs'

const dev = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../examples/sveltekit/dev.mjs')
const part = (page, name) => page.locator(`[data-test="${name}"]`)

let browser

before(async () => {
  browser = await launchBrowser()
})
after(() => browser?.close())

/** Starts it as `npm run dev` does, and waits until it says where to go. */
async function start(t, mode, ports) {
  const parameters = [dev, ...(mode === 'behind' ? ['--behind'] : [])]
  const program = new Program(`sveltekit-dev-${mode}`, process.execPath, parameters, { env: { PERENNIAL_BIN: PERENNIAL, PORTS: ports.join(',') } })
  t.after(() => program.stop())
  const toOpen = () => /Open (\S+)/.exec(program.stdout)?.[1]
  await until('it to say where to go, or to end', () => toOpen() ?? program.how, { within: 60_000 })
  const url = toOpen()
  if (url === undefined) throw new Error(program.log)
  return { program, url }
}

const isListening = (port) => send(`http://localhost:${port}/`).then(() => true, () => false)

for (const mode of MODES) {
  test(`${mode}: one command, and a person signs in, renews and signs out`, async (t) => {
    const ports = [await freePort(), await freePort(), await freePort()]
    const { program, url } = await start(t, mode, ports)
    const { page, complaints, close } = await openPage(browser)
    t.after(close)
    await page.goto(url)
    await part(page, 'greeting').filter({ hasText: 'Hello stranger.' }).waitFor()
    await page.getByRole('link', { name: 'Sign in' }).click()
    await part(page, 'sign-in-auth0').click()
    await page.getByRole('button', { name: /Alice Archer/ }).click()
    await part(page, 'api').filter({ hasText: 'The API knows you.' }).waitFor()
    assert.equal(await part(page, 'generation').textContent(), '0')

    await page.waitForLoadState('networkidle')
    await page.getByRole('button', { name: 'Refresh Token' }).click()
    await part(page, 'generation').filter({ hasText: '1' }).waitFor()
    await page.getByRole('status').filter({ hasText: 'Renewed.' }).waitFor()
    await screenshot(page, `sveltekit-dev-${mode}`)
    assert.equal(new URL(page.url()).pathname, '/account', 'the button was a script, and not a form')

    await page.getByRole('button', { name: 'Sign out' }).click()
    await part(page, 'to-login').waitFor()
    assert.deepEqual(complaints, [], program.log)
    assert.equal(await program.stop(), 0)
    assert.deepEqual(await Promise.all(ports.map(isListening)), [false, false, false], 'nothing is left behind')
  })
}

test('when one of the three cannot start the command fails and says which', async (t) => {
  const taken = await freePort()
  const program = new Program('sveltekit-dev-taken', process.execPath, [dev], {
    env: { PERENNIAL_BIN: PERENNIAL, PORTS: [await freePort(), taken, taken].join(',') },
  })
  t.after(() => program.stop())
  assert.equal(await program.exited, 1)
  assert.match(program.log, /The (gateway|provider) has ended/)
})
