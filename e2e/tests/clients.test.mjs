// The clients of Auth.js, exactly as npm has them, in a real browser and in Node, against the gateway.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { launchBrowser, openPage } from '../support/browser.mjs'
import { openApp } from '../support/client-app.mjs'
import { output } from '../support/processes.mjs'
import { until } from '../support/wait.mjs'

let browser
before(async () => (browser = await launchBrowser()))
after(() => browser?.close())

/** A tab with the app in it; `context` of another tab makes it that one's neighbour. */
async function tab(t, app, { path = '/', beside } = {}) {
  const visit = beside ? { context: beside.context, page: await beside.context.newPage(), complaints: [] } : await openPage(browser)
  if (!beside) t.after(visit.close)
  await visit.page.goto(`${app.url}${path}`)
  return visit
}

const shown = (page, name) => page.locator(`[data-test="${name}"]`).textContent()
const status = (page, wanted) => until(`the page to say ${wanted}`, async () => (await shown(page, 'status')) === wanted)

/** Signs in by the client's own `signIn`, over the provider and back. */
async function signIn(page, app, at = '/') {
  await page.evaluate((callbackUrl) => void window.client.signIn('oidc', { callbackUrl }, { login_hint: 'bob' }), at)
  await page.waitForURL((url) => url.origin === app.url && url.pathname === new URL(at, app.url).pathname && url.search === new URL(at, app.url).search)
}

const unharmed = ({ provider }) => assert.deepEqual([provider.refused, provider.revokedGrants, provider.refusals], [0, 0, []])

const NEXT_AUTH = [
  { version: 'v5', basePath: '/api/auth' },
  { version: 'v5', basePath: '/auth' },
  // next-auth 4 knows one base path: its useSession has it written in.
  { version: 'v4', basePath: '/api/auth' },
]

for (const { version, basePath } of NEXT_AUTH) {
  const name = `next-auth ${version} at ${basePath}`
  const options = { entry: 'next-auth.mjs', alias: { 'next-auth/react': `next-auth-${version}/react` }, basePath }

  // Each test has a provider, an app and a gateway of its own.
  describe(name, { concurrency: 3 }, () => {
    test(`${name}: a stranger, the list of providers, a token against forgery, a sign-in without redirect`, async (t) => {
      const app = await openApp(t, options)
      const { page } = await tab(t, app)
      await status(page, 'unauthenticated')
      const told = await page.evaluate(async () => {
        const { getProviders, getCsrfToken, getSession } = window.client
        return { providers: await getProviders(), csrf: await getCsrfToken(), session: await getSession() }
      })
      assert.deepEqual(told.providers.oidc, {
        id: 'oidc',
        name: 'OpenID Connect',
        type: 'oidc',
        signinUrl: `${app.base}/signin/oidc`,
        callbackUrl: `${app.base}/callback/oidc`,
      })
      assert.match(told.csrf, /^[0-9a-f]{64}$/)
      assert.equal(told.session, null)
      if (version === 'v4') return // It navigates to an OAuth provider, whatever it is told.
      const start = await page.evaluate(() => window.client.signIn('oidc', { redirect: false, callbackUrl: '/members' }))
      assert.deepEqual([start.ok, start.status, start.error], [true, 200, undefined])
      assert.equal(new URL(start.url).origin, app.provider.issuer)
    })

    test(`${name}: signIn, getSession, useSession, update and signOut, over the provider and back`, async (t) => {
      const app = await openApp(t, options)
      const { page } = await tab(t, app)
      await status(page, 'unauthenticated')
      await signIn(page, app, '/?here=again')
      await status(page, 'authenticated')
      assert.equal(await shown(page, 'name'), 'Bob Baker', 'login_hint reached the provider')

      const session = await page.evaluate(() => window.client.getSession())
      assert.deepEqual([session.user.name, session.user.email], ['Bob Baker', 'bob@example.com'])
      assert.ok(Date.parse(session.expires) > Date.now())

      const updated = page.waitForResponse((answer) => answer.url().endsWith('/session') && answer.request().method() === 'POST')
      const after = await page.evaluate(() => window.update({ theme: 'dark' }))
      assert.equal((await updated).status(), 200, 'the token against forgery is good')
      assert.equal(after.user.name, 'Bob Baker')
      assert.equal((await page.evaluate(() => window.update())).user.name, 'Bob Baker')

      await page.evaluate(() => void window.client.signOut({ callbackUrl: '/?gone' }))
      await page.waitForURL(`${app.url}/?gone`)
      await status(page, 'unauthenticated')
      await until('the grant to be given back', () => app.provider.returnedGrants > 0)
      unharmed(app)
    })

    test(`${name}: every tab renews at once, again and again, and none looks signed out`, async (t) => {
      const app = await openApp(t, { ...options, accessTokenLifetime: 3 })
      const first = await tab(t, app, { path: '/?refetch=1' })
      await signIn(first.page, app, '/?refetch=1&signed=in')
      const tabs = [first, await tab(t, app, { path: '/?refetch=1', beside: first }), await tab(t, app, { path: '/?refetch=1', beside: first })]
      await Promise.all(tabs.map(({ page }) => status(page, 'authenticated')))
      await until('two renewals', () => app.provider.redemptions >= 2, { within: 30_000 })
      for (const { page } of tabs) {
        const seen = await page.evaluate(() => window.seen)
        assert.deepEqual(seen.filter((one) => one === 'unauthenticated'), [], seen.join(' '))
      }
      unharmed(app)

      const answer = await first.page.evaluate(() => window.client.signOut({ redirect: false, callbackUrl: '/?out' }))
      assert.equal(answer.url, `${app.url}/?out`)
      await Promise.all(tabs.map(({ page }) => status(page, 'unauthenticated')))
    })

    test(`${name}: a page that requires a session sends a stranger to the sign-in page`, async (t) => {
      const app = await openApp(t, options)
      const { page } = await tab(t, app, { path: '/?required' })
      await page.waitForURL((url) => url.pathname === `${basePath}/signin`)
      assert.equal(new URL(page.url()).searchParams.get('error'), 'SessionRequired')
      await page.locator('form button').click()
      await page.waitForURL(`${app.url}/?required`)
      await status(page, 'authenticated')
    })

    test(`${name}: in Node, with the browser's cookies`, async (t) => {
      const app = await openApp(t, options)
      const visitor = app.visitor()
      assert.equal((await visitor.visit('/members')).status, 200)
      const cookie = await visitor.jar.getCookieString(app.url)
      const script = `const client = await import('next-auth-${version}/react').then((it) => it.default?.getSession ? it.default : it)
        const req = { headers: { cookie: process.env.COOKIE } }
        const { NEXTAUTH_URL } = process.env
        console.log(JSON.stringify({ session: await client.getSession({ req, headers: req.headers }), providers: await client.getProviders(), csrf: await client.getCsrfToken() }))
        process.exit(0)`
      const text = await output('node-client', process.execPath, ['--input-type=module', '-e', script], { env: { COOKIE: cookie, NEXTAUTH_URL: app.base } })
      const told = JSON.parse(text.trim().split('\n').at(-1))
      assert.equal(told.session.user.name, 'Alice Adams')
      assert.equal(told.providers.oidc.type, 'oidc')
      assert.match(told.csrf, /^[0-9a-f]{64}$/)
    })
  })
}

describe('@auth/sveltekit/client', { concurrency: 3 }, () => {
  const options = { entry: 'sveltekit.mjs' }
  const ready = (page) => page.waitForFunction(() => window.ready)

  test('@auth/sveltekit/client: signIn and signOut without redirect', async (t) => {
    const app = await openApp(t, options)
    const { page } = await tab(t, app)
    await ready(page)
    const start = await page.evaluate(() => window.client.signIn('oidc', { redirect: false, redirectTo: '/members' }, { login_hint: 'bob', scope: 'openid steal' }))
    assert.deepEqual([start.ok, start.status, start.error], [true, 200, undefined])
    const authorization = new URL(start.url)
    assert.equal(authorization.origin, app.provider.issuer)
    assert.equal(authorization.searchParams.get('login_hint'), 'bob')
    assert.doesNotMatch(authorization.searchParams.get('scope'), /steal/, 'no page chooses the scope')
    await page.goto(start.url)
    await page.waitForURL(`${app.url}/members`)
    await ready(page)
    assert.equal((await page.evaluate(() => fetch('/auth/session').then((answer) => answer.json()))).user.name, 'Bob Baker')
    const end = await page.evaluate(() => window.client.signOut({ redirect: false, redirectTo: '/?out' }))
    assert.equal(end.url, `${app.url}/?out`)
    assert.equal(await page.evaluate(() => fetch('/auth/session').then((answer) => answer.json())), null)
  })

  test('@auth/sveltekit/client: signIn and signOut with redirect', async (t) => {
    const app = await openApp(t, options)
    const { page } = await tab(t, app)
    await ready(page)
    await page.evaluate(() => void window.client.signIn('oidc', { callbackUrl: '/?here=again' }))
    await page.waitForURL(`${app.url}/?here=again`)
    await ready(page)
    assert.equal((await page.evaluate(() => fetch('/auth/session').then((answer) => answer.json()))).user.name, 'Alice Adams')
    await page.evaluate(() => void window.client.signOut({ redirectTo: '/?gone' }))
    await page.waitForURL(`${app.url}/?gone`)
    assert.equal(await page.evaluate(() => fetch('/auth/session').then((answer) => answer.json())), null)
    await until('the grant to be given back', () => app.provider.returnedGrants > 0)
    unharmed(app)
  })

  test('@auth/sveltekit/client: a provider that is not there is told as an error', async (t) => {
    const app = await openApp(t, options)
    const { page } = await tab(t, app)
    await ready(page)
    const answer = await page.evaluate(() => window.client.signIn('nobody', { redirect: false }))
    assert.deepEqual([answer.error, answer.url], ['Configuration', null])
  })
})
