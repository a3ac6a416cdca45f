// examples/sveltekit in Chromium: what a person sees of it, with tabs, keyboard, an old page from the cache, and without JavaScript.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { barriers, launchBrowser, openPage, screenshot } from '../support/browser.mjs'
import { MODES, UNHARMED, openExample } from '../support/sveltekit.mjs'
import { until } from '../support/wait.mjs'

let browser

before(async () => {
  browser = await launchBrowser({ backForwardCache: true })
})
after(() => browser?.close())

const part = (page, name) => page.locator(`[data-test="${name}"]`)
const number = async (page, name) => Number(await part(page, name).textContent())
const hydrated = (page) => page.waitForLoadState('networkidle')

/** A person with a browser of their own at an example of their own. */
async function arrive(t, mode, { accessTokenLifetime = '60s', ...options } = {}) {
  const example = await openExample(t, mode, { accessTokenLifetime })
  const visit = await openPage(browser, options)
  t.after(visit.close)
  await visit.page.goto(example.url)
  return { example, ...visit }
}

async function signedIn(t, mode, options) {
  const visit = await arrive(t, mode, options)
  const { page, example } = visit
  await page.goto(`${example.url}/login`)
  await part(page, 'sign-in-auth0').click()
  await part(page, 'fingerprint').waitFor()
  return visit
}

for (const mode of MODES) {
  describe(`${mode} the gateway`, { concurrency: 1 }, () => {
    test(`${mode}: signs in by script, and walks through the pages while tokens die`, async (t) => {
      const { page, example, complaints } = await arrive(t, mode, { accessTokenLifetime: '3s' })
      await hydrated(page)
      await page.getByRole('button', { name: 'Sign in by script' }).click()
      await part(page, 'fingerprint').waitFor()
      assert.equal(new URL(page.url()).pathname, '/account')
      await hydrated(page)
      const prints = new Set()
      await until(
        'three renewals, seen on the way',
        async () => {
          await page.getByRole('link', { name: 'Home' }).click()
          await part(page, 'greeting').filter({ hasText: 'Hello Alice Archer.' }).waitFor()
          await page.getByRole('link', { name: 'Account', exact: true }).click()
          await part(page, 'api').filter({ hasText: 'The API knows you.' }).waitFor()
          prints.add(await part(page, 'fingerprint').textContent())
          return (await number(page, 'generation')) >= 3
        },
        { within: 30_000, every: 300 },
      )
      assert.ok(prints.size >= 3, [...prints].join(' '))
      await page.getByRole('link', { name: 'Home' }).click()
      await page.getByRole('button', { name: 'Ask' }).click()
      await part(page, 'session-status').filter({ hasText: 'There is a session.' }).waitFor()
      await page.getByRole('button', { name: 'Sign out by script' }).click()
      await part(page, 'greeting').filter({ hasText: 'Hello stranger.' }).waitFor()
      assert.deepEqual(await example.provider.harm(), UNHARMED)
      assert.deepEqual(complaints, [])
      assert.equal(await page.evaluate(() => document.cookie), '', 'cookies are out of reach of scripts')
    })

    test(`${mode}: Refresh Token by keyboard says what came of it and moves nothing`, async (t) => {
      const { page, example, complaints } = await signedIn(t, mode)
      await hydrated(page)
      const button = page.getByRole('button', { name: 'Refresh Token', exact: true })
      const place = () => part(page, 'refresh-on-server').boundingBox()
      const [before, generation] = [await place(), await number(page, 'generation')]
      await button.focus()
      // Two renewals on demand lie at least a second apart; the sign-in's token counts.
      await until('a renewal', async () => {
        await page.keyboard.press('Enter')
        await page.getByRole('status').filter({ hasText: /^Renewed/ }).waitFor()
        return (await page.getByRole('status').allTextContents()).includes('Renewed.')
      }, { every: 300 })
      await until('the page to show it', async () => (await number(page, 'generation')) > generation)
      assert.deepEqual(await place(), before, 'nothing below has moved')
      assert.equal(await button.evaluate((element) => element === document.activeElement), true, 'the focus stays')
      assert.deepEqual(await example.provider.harm(), UNHARMED)
      assert.deepEqual(complaints, [])
      await screenshot(page, `sveltekit-${mode}-account`)
    })

    test(`${mode}: works without JavaScript`, async (t) => {
      const { page, example } = await signedIn(t, mode, { javaScriptEnabled: false })
      const generation = await number(page, 'generation')
      await until('a page with a new generation', async () => {
        await page.getByRole('button', { name: 'Refresh Token', exact: true }).click()
        await part(page, 'fingerprint').waitFor()
        return (await number(page, 'generation')) > generation
      }, { every: 300 })
      assert.equal(new URL(page.url()).pathname, '/account', 'the form comes back')
      await screenshot(page, `sveltekit-${mode}-without-javascript`)
      await page.goto(`${example.url}/streamed`)
      await part(page, 'early').waitFor()
      await page.getByRole('button', { name: 'Sign out' }).click()
      await part(page, 'greeting').filter({ hasText: 'Hello stranger.' }).waitFor()
      await page.goto(`${example.url}/account`)
      assert.equal(new URL(page.url()).pathname, '/login')
      assert.deepEqual(await example.provider.harm(), UNHARMED)
    })

    test(`${mode}: a sign-out in one tab reaches the others without a reload`, async (t) => {
      const { page, context, example, complaints } = await signedIn(t, mode)
      const [home, account] = [await context.newPage(), await context.newPage()]
      await home.goto(example.url)
      await account.goto(`${example.url}/account`)
      await Promise.all([hydrated(home), hydrated(account), hydrated(page)])
      await home.evaluate(() => (window.notReloaded = true))
      await page.getByRole('button', { name: 'Sign out' }).click()
      await part(home, 'greeting').filter({ hasText: 'Hello stranger.' }).waitFor()
      assert.equal(await home.evaluate(() => window.notReloaded), true)
      await account.waitForURL('**/login**')
      assert.deepEqual(complaints, [])
    })

    test(`${mode}: an outage of the provider is told, and passes`, async (t) => {
      const { page, example } = await signedIn(t, mode, { accessTokenLifetime: '5s' })
      await hydrated(page)
      await example.provider.misbehave({ respond_status: 503 })
      const { families } = await example.provider.state()
      const newest = families.at(-1).refresh_tokens.at(-1)
      await until('the access token to die', () => Date.now() > newest.issued_at_ms + 5_200)
      await page.getByRole('button', { name: 'Refresh Token', exact: true }).click()
      await page.getByRole('status').filter({ hasText: 'You are still signed in.' }).waitFor()
      assert.equal(await part(page, 'user').textContent(), 'Alice Archer', 'still signed in')
      await page.goto(`${example.url}/account`)
      await part(page, 'error').filter({ hasText: 'You are still signed in' }).waitFor()
      await screenshot(page, `sveltekit-${mode}-outage`)
      await example.provider.mend()
      await until('the page to come back', async () => {
        await page.goto(`${example.url}/account`)
        return part(page, 'fingerprint').isVisible()
      }, { within: 20_000, every: 500 })
      assert.deepEqual(await example.provider.harm(), UNHARMED)
    })
  })
}

test('ten tabs that meet an expired token cost one redemption, and wake up with one question', async (t) => {
  // Long enough that the next token is not due before a slow machine has loaded all of them.
  const { page, context, example, complaints } = await signedIn(t, 'before', { accessTokenLifetime: '12s' })
  const tabs = [page, ...(await Promise.all(Array.from({ length: 9 }, () => context.newPage())))]
  await Promise.all(tabs.map((tab) => tab.goto(`${example.url}/account`)))
  await Promise.all(tabs.map(hydrated))
  const start = await example.provider.redemptions()
  const { families } = await example.provider.state()
  const newest = families.at(-1).refresh_tokens.at(-1)
  await until('the access token to die', () => Date.now() > newest.issued_at_ms + 12_200, { within: 15_000 })
  await Promise.all(tabs.map((tab) => tab.reload()))
  for (const tab of tabs) assert.equal(await part(tab, 'api').textContent(), 'The API knows you.')
  assert.equal(await example.provider.redemptions(), start + 1)

  await Promise.all(tabs.map(hydrated))
  let asked = 0
  context.on('request', (request) => {
    if (new URL(request.url()).pathname === '/auth/session') asked += 1
  })
  // What they know has to be older than a look (5 s).
  const known = Date.now()
  await until('what the tabs know to grow old', () => Date.now() > known + 5_500)
  await Promise.all(tabs.map((tab) => tab.evaluate(() => dispatchEvent(new Event('online')))))
  await until('a question', () => asked > 0)
  await Promise.all(tabs.map(hydrated))
  assert.equal(asked, 1, 'ten tabs are back online, and one asks')
  assert.deepEqual(await example.provider.harm(), UNHARMED)
  assert.deepEqual(complaints, [])
})

test('a streamed page begins before all of it is there', async (t) => {
  const { page, example, complaints } = await signedIn(t, 'before')
  await page.goto(`${example.url}/streamed`, { waitUntil: 'commit' })
  await part(page, 'waiting').waitFor()
  await part(page, 'late').waitFor()
  assert.equal(await number(page, 'late'), await number(page, 'early'))
  assert.deepEqual(complaints, [])
})

test('a page that comes back from the cache learns that somebody has signed out', async (t) => {
  const { page, context, example } = await signedIn(t, 'before')
  await page.goto(example.url)
  await hydrated(page)
  await page.evaluate(() => {
    window.kept = true
    addEventListener('pageshow', ({ persisted }) => (window.persisted = persisted))
  })
  // Somewhere else, so that the page is really left.
  await page.goto(`${example.provider.issuer}/`)
  const other = await context.newPage()
  await other.goto(`${example.url}/logout`)
  await part(other, 'sign-out-here').click()
  await part(other, 'greeting').filter({ hasText: 'Hello stranger.' }).waitFor()
  await page.goBack({ waitUntil: 'commit' })
  await part(page, 'greeting').filter({ hasText: 'Hello stranger.' }).waitFor()
  assert.deepEqual(await page.evaluate(() => [window.kept, window.persisted]), [true, true], 'it is the old page, from the cache')
})

test('a remote function knows members and nobody else', async (t) => {
  const { page, example } = await arrive(t, 'before')
  await page.goto(`${example.url}/remote`)
  await hydrated(page)
  await page.getByRole('button', { name: 'Who am I?' }).click()
  await part(page, 'remote').filter({ hasText: 'The server knows nobody here.' }).waitFor()
  await page.goto(`${example.url}/login`)
  await part(page, 'sign-in-auth0').click()
  await part(page, 'fingerprint').waitFor()
  await page.goto(`${example.url}/remote`)
  await hydrated(page)
  await page.getByRole('button', { name: 'Who am I?' }).click()
  await part(page, 'remote').filter({ hasText: 'The server knows Alice Archer.' }).waitFor()
})

test('user data is updated and shown in every tab', async (t) => {
  const { page, context, example, complaints } = await signedIn(t, 'before')
  const home = await context.newPage()
  await home.goto(example.url)
  await Promise.all([hydrated(home), hydrated(page)])
  await page.getByLabel('Name').fill('Alicia')
  await page.getByRole('button', { name: 'Update' }).click()
  await part(page, 'name').filter({ hasText: 'Alicia' }).waitFor()
  await part(home, 'greeting').filter({ hasText: 'Hello Alicia.' }).waitFor()
  assert.deepEqual(complaints, [])
})

test('a sign-in that fails ends at the application’s own page', async (t) => {
  const { page, example } = await arrive(t, 'before')
  await page.goto(`${example.url}/auth/error?error=AccessDenied`)
  assert.equal(new URL(page.url()).pathname, '/problem')
  assert.equal(await part(page, 'sentence').textContent(), 'You may not sign in here.')
})

for (const colorScheme of ['light', 'dark']) {
  test(`no page puts up a barrier, ${colorScheme}`, async (t) => {
    const { page, example, complaints } = await signedIn(t, 'before', { colorScheme, width: 360, height: 740 })
    for (const path of ['/', '/account', '/streamed', '/remote', '/login', '/logout', '/problem']) {
      await page.goto(`${example.url}${path}`)
      await hydrated(page)
      assert.deepEqual(await barriers(page), [], path)
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${path}: nothing sticks out sideways`)
      await screenshot(page, `sveltekit-${colorScheme}${path === '/' ? '-home' : path.replace('/', '-')}`)
    }
    assert.deepEqual(complaints, [])
  })
}
