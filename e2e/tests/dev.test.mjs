// `perennial dev` as a visitor meets it: one command, a page, a person who signs in and tries to break it.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { barriers, launchBrowser, openPage, screenshot } from '../support/browser.mjs'
import { PERENNIAL, Program, freePort, temporaryFolder } from '../support/processes.mjs'
import { until } from '../support/wait.mjs'

let url
let program
let browser

before(async () => {
  const [port, providerPort] = [await freePort(), await freePort()]
  url = `http://localhost:${port}/`
  program = new Program('dev', PERENNIAL, ['dev', '--port', `${port}`, '--provider-port', `${providerPort}`, '--access-token-lifetime', '5s'], {
    env: { XDG_DATA_HOME: temporaryFolder(), XDG_STATE_HOME: temporaryFolder() },
  })
  await program.ready(url)
  browser = await launchBrowser()
})
after(async () => {
  await browser?.close()
  await program?.stop()
})

const part = (page, name) => page.locator(`[data-test="${name}"]`)
const number = async (page, name) => Number(await part(page, name).textContent())
const outcome = async (page, key) => Number(await page.locator(`[data-test="outcome"][data-key="${key}"] dd`).textContent())
const live = (page) => page.locator('[data-test="connection"][data-state="live"]').waitFor()

/** A visitor with a page of their own; closed with the test. */
async function arrive(t, options) {
  const visit = await openPage(browser, options)
  t.after(visit.close)
  await visit.page.goto(url)
  await part(visit.page, 'signed-out').waitFor()
  return visit
}

async function signIn(page, person = 'alice') {
  await part(page, `sign-in-${person}`).click()
  await part(page, 'user-name').waitFor()
}

async function signedIn(t, options) {
  const visit = await arrive(t, options)
  await signIn(visit.page)
  if (options?.javaScriptEnabled !== false) await live(visit.page)
  return visit
}

const generations = (page, wanted) => until(`generation ${wanted}`, async () => (await number(page, 'generation')) >= wanted, { within: 30_000 })

/** No refresh token was presented twice, and every one of the page's own requests was answered. */
async function assertUnharmed(page) {
  assert.equal(await outcome(page, 'reuse'), 0, 'a spent refresh token reached the provider')
  assert.equal(await number(page, 'heartbeat-bad'), 0, 'a request of the page failed')
  assert.equal(await page.locator('[data-test="bead"][data-kind="broken"]').count(), 0, 'a bead is broken')
  assert.equal(await part(page, 'family').getAttribute('data-state'), 'alive')
}

test('Alice signs in and sees three renewals that nobody asked for', async (t) => {
  const { page, complaints } = await signedIn(t)
  assert.match(await part(page, 'user-name').textContent(), /Alice/)
  const start = await number(page, 'generation')
  const print = await part(page, 'token-fingerprint').textContent()
  await generations(page, start + 3)
  assert.ok((await outcome(page, 'rotated')) >= 3)
  assert.notEqual(await part(page, 'token-fingerprint').textContent(), print)
  assert.ok((await page.locator('[data-test="bead"][data-kind="ahead"]').count()) >= 3, 'a bead for each, ahead of time')
  assert.ok((await number(page, 'heartbeat-good')) >= 5)
  await assertUnharmed(page)
  assert.deepEqual(complaints, [])
})

test('Refresh Token mints a generation at the press of the button', async (t) => {
  const { page, complaints } = await signedIn(t)
  const start = await number(page, 'generation')
  await part(page, 'refresh').click()
  await page.locator('[data-test="bead"][data-kind="manual"]').waitFor()
  assert.ok((await number(page, 'generation')) > start)
  await assertUnharmed(page)
  assert.deepEqual(complaints, [])
})

describe('what breaks sessions elsewhere', () => {
  // What each result line must say, in its own words, beside that every promise was kept.
  const EXPERIMENTS = {
    storm: /\b50\b.*\b(1|one) redemption\b/,
    tabs: /redemption/,
    stale: /./,
    slow: /./,
    outage: /./,
    restart: /./,
    secret: /./,
    lost: /./,
  }
  /** Broken on purpose, so that requests of the page may fail for a while, and Chromium says so on the console. */
  const BREAKS = ['outage', 'restart', 'secret', 'lost']

  for (const [name, words] of Object.entries(EXPERIMENTS)) {
    test(`does not here: ${name}`, async (t) => {
      const { page, complaints } = await signedIn(t)
      await part(page, `action-${name}`).click()
      const item = part(page, `experiment-${name}`)
      await until(`the experiment ${name} to end`, async () => !['idle', 'running'].includes(await item.getAttribute('data-state')), { within: 60_000 })
      const result = await part(page, `result-${name}`).textContent()
      assert.equal(await item.getAttribute('data-state'), 'held', result)
      assert.match(result, words)

      await live(page)
      const start = await number(page, 'generation')
      await generations(page, start + 1)
      assert.equal(await outcome(page, 'reuse'), 0, result)
      if (!BREAKS.includes(name)) await assertUnharmed(page)
      await page.reload()
      assert.match(await part(page, 'user-name').textContent(), /Alice/, 'still signed in')
      const unexpected = complaints.filter(({ kind }) => kind !== 'console' || !BREAKS.includes(name))
      assert.deepEqual(unexpected, [])
      await screenshot(page, `after-${name}`)
    })
  }

  test('can be stopped in the middle', async (t) => {
    const { page } = await signedIn(t)
    const item = part(page, 'experiment-outage')
    await part(page, 'action-outage').click()
    await part(page, 'stop-outage').click()
    await until('the outage to stop', async () => (await item.getAttribute('data-state')) === 'stopped')
    const start = await number(page, 'generation')
    await generations(page, start + 1)
    assert.equal(await outcome(page, 'reuse'), 0)
  })

  test('a stolen refresh token ends the session, and signing in again mends it', async (t) => {
    const { page } = await signedIn(t)
    await part(page, 'action-theft').click()
    await until('the thief to have been there', async () => (await part(page, 'experiment-theft').getAttribute('data-state')) === 'lost')
    // The access token of the moment goes on to its end; the renewal after it is refused.
    await page.locator('[data-test="ended"]:not([hidden])').waitFor({ timeout: 30_000 })
    assert.equal(await part(page, 'family').getAttribute('data-state'), 'revoked')
    await screenshot(page, 'after-theft')
    await part(page, 'sign-in-again').click()
    await page.locator('[data-test="ended"][hidden]').waitFor({ state: 'attached' })
    assert.match(await part(page, 'user-name').textContent(), /Alice/)
  })
})

test('the keyboard alone signs in, refreshes, walks the strand and signs out', async (t) => {
  const { page, complaints } = await arrive(t)
  const focused = () => page.evaluate(() => document.activeElement?.dataset.test ?? document.activeElement?.tagName)

  /** Presses Tab until the focus is on `name`, and sees to it that the focus is visible. */
  async function tabTo(name) {
    for (let presses = 0; presses < 80; presses += 1) {
      await page.keyboard.press('Tab')
      if ((await focused()) === name) {
        const outline = await page.evaluate(() => {
          const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement)
          return (outlineStyle !== 'none' && outlineWidth !== '0px') || boxShadow !== 'none'
        })
        assert.ok(outline, `${name} shows that it has the focus`)
        return
      }
    }
    assert.fail(`Tab never reached ${name}`)
  }

  await tabTo('sign-in-alice')
  await page.keyboard.press('Enter')
  await part(page, 'user-name').waitFor()
  await live(page)
  const start = await number(page, 'generation')
  await tabTo('refresh')
  await page.keyboard.press('Enter')
  await page.locator('[data-test="bead"][data-kind="manual"]').waitFor()
  assert.ok((await number(page, 'generation')) > start)

  await tabTo('bead')
  const told = await part(page, 'story').textContent()
  await page.keyboard.press('ArrowLeft')
  assert.equal(await focused(), 'bead')
  await until('the story of another bead', async () => (await part(page, 'story').textContent()) !== told)

  await page.keyboard.press('Home')
  for (let presses = 0; (await focused()) !== 'sign-out' && presses < 80; presses += 1) await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Enter')
  await part(page, 'signed-out').waitFor()
  assert.deepEqual(complaints, [])
})

describe('the page', () => {
  for (const width of [360, 1440]) {
    for (const colorScheme of ['light', 'dark']) {
      test(`reads well at ${width} px, ${colorScheme}`, async (t) => {
        const { page, complaints } = await arrive(t, { width, height: width === 360 ? 740 : 900, colorScheme })
        const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)
        assert.ok(await fits(), 'nothing sticks out sideways')
        assert.deepEqual(await barriers(page), [])
        await screenshot(page, `signed-out-${width}-${colorScheme}`)

        await signIn(page)
        await live(page)
        await generations(page, (await number(page, 'generation')) + 2)
        assert.ok(await fits(), 'nothing sticks out sideways')
        assert.deepEqual(await barriers(page), [])
        await screenshot(page, `signed-in-${width}-${colorScheme}`)
        assert.deepEqual(complaints, [])
      })
    }
  }

  test('works without JavaScript: signs in, shows the session, refreshes by a form, signs out', async (t) => {
    const { page } = await signedIn(t, { javaScriptEnabled: false })
    assert.match(await part(page, 'user-name').textContent(), /Alice/)
    const start = await number(page, 'generation')
    await part(page, 'refresh').click()
    await until('a page with a new generation', async () => (await number(page, 'generation')) > start)
    await screenshot(page, 'without-javascript')
    await part(page, 'sign-out').click()
    await part(page, 'signed-out').waitFor()
  })

  test('never shows a token', async (t) => {
    const { page } = await signedIn(t)
    const everything = await page.content()
    assert.doesNotMatch(everything, /eyJ[\w-]{20,}\./, 'a JWT')
    for (const address of ['/auth/session', '/demo/me']) {
      const text = await page.evaluate((from) => fetch(from).then((answer) => answer.text()), address)
      assert.doesNotMatch(text, /access_token|refresh_token|id_token|eyJ[\w-]{20,}\./, address)
    }
    assert.equal(await page.evaluate(() => document.cookie), '', 'cookies are out of reach of scripts')
  })
})
