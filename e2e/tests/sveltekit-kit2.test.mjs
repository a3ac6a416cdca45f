// e2e/kit2 by HTTP and once in Chromium: the package `perennial-sveltekit` in a built application of SvelteKit 2, which its peer range promises beside Kit 3.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'

import { launchBrowser, openPage } from '../support/browser.mjs'
import { KIT_2, UNHARMED, openExample } from '../support/sveltekit.mjs'
import { Visitor } from '../support/visitor.mjs'
import { until } from '../support/wait.mjs'

const kit2 = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../kit2')
const text = (page, name) => new RegExp(`data-test="${name}"[^>]*>(?:<!--.*?-->)*([^<]*)`).exec(page)?.[1]
const open = (t, { mode = 'before', accessTokenLifetime = '60s' } = {}) => openExample(t, mode, { application: KIT_2, accessTokenLifetime })

test('the application is one of Kit 2, and so is the Kit that the package finds', () => {
  const inPackage = realpathSync(path.join(kit2, 'node_modules/perennial-sveltekit/dist/index.js'))
  for (const from of [path.join(kit2, 'src/hooks.server.ts'), inPackage]) {
    assert.match(createRequire(from)('@sveltejs/kit/package.json').version, /^2\./)
  }
})

test('strangers see what is public, and are sent to sign in or told 401', async (t) => {
  const { url } = await open(t)
  const stranger = new Visitor(url)
  const home = await stranger.page('/')
  assert.deepEqual([home.status, text(home.text, 'user'), home.headers['x-visitor']], [200, 'nobody', 'nobody'])
  const account = await stranger.page('/account')
  assert.deepEqual([account.status, account.headers.location], [303, `/login?${new URLSearchParams({ callbackUrl: '/account' })}`])
  assert.equal((await stranger.fetch('/account')).status, 401)
  assert.match((await stranger.fetch('/account/__data.json')).text, /"type":"redirect"/, 'a client-side navigation is sent there, too')
})

test('signs in by a form action, renews once when the token has died, and signs out by another', async (t) => {
  const { url, signedIn, provider, app } = await open(t, { accessTokenLifetime: '4s' })
  const visitor = await signedIn()
  const before = await visitor.page('/account')
  assert.deepEqual([before.status, text(before.text, 'user'), text(before.text, 'generation')], [200, 'Alice Archer', '0'])
  assert.equal(before.headers['x-visitor'], 'Alice Archer', 'a hook after ours knows, too')
  assert.ok(Number(text(before.text, 'token-length')) > 20, 'there is a live access token')

  const issued = (await newestToken(provider)).issued_at_ms
  await until('the access token to die', () => Date.now() > issued + 4_100)
  const after = await visitor.page('/account')
  assert.deepEqual([after.status, text(after.text, 'generation')], [200, '1'])
  assert.equal(after.setCookies.filter((line) => line.startsWith('authjs.session-token=')).length, 1, 'one cookie for hook, layout and page')
  assert.equal(await provider.redemptions(), 1)

  const out = await visitor.postForm('/logout', { redirectTo: '/' })
  assert.deepEqual([out.status, new URL(out.headers.location, url).href], [303, `${url}/`])
  assert.deepEqual(visitor.sessionCookies(), [])
  assert.equal((await visitor.page('/account')).status, 303)
  await until('the grant to be given back', async () => (await provider.state()).families.every(({ alive }) => !alive))
  assert.deepEqual(await provider.harm(), UNHARMED)
  assert.doesNotMatch(app.log, /Error|cookies\.set/, app.log)
})

test('renews by the form action and by the button as a plain form', async (t) => {
  const { url, signedIn, provider } = await open(t)
  const visitor = await signedIn()
  const referer = `${url}/account`
  const oldEnough = () => until('the newest token to be a second old', async () => Date.now() - (await newestToken(provider)).issued_at_ms > 1_050)

  await oldEnough()
  const shown = await visitor.postForm('/account?/refresh', {}, { headers: { referer } })
  assert.deepEqual([shown.status, text(shown.text, 'refreshed'), text(shown.text, 'generation')], [200, '1', '1'])

  const [, action] = /<form class="[^"]*perennial-refresh[^"]*" method="post" action="([^"]*)"/.exec(shown.text)
  await oldEnough()
  const back = await visitor.postForm(action, {}, { headers: { referer } })
  assert.deepEqual([back.status, back.headers.location], [303, referer])
  assert.equal(text((await visitor.page('/account')).text, 'generation'), '2')
  assert.deepEqual(await provider.harm(), UNHARMED)
})

test('remote functions know who calls, whatever page the caller names', async (t) => {
  const { url, signedIn } = await open(t)
  const stranger = new Visitor(url)
  const visitor = await signedIn()
  const query = `/_app/remote/${remoteId('member')}`
  for (const headers of [{ 'x-sveltekit-pathname': '/' }, { 'x-sveltekit-pathname': '/login' }, { 'x-sveltekit-pathname': '/auth/session' }]) {
    const refused = (await stranger.fetch(query, { headers })).json()
    assert.deepEqual([refused.type, refused.status], ['error', 401])
    const answer = await visitor.fetch(query, { headers })
    assert.match(answer.text, /Alice Archer/)
  }

  // Without JavaScript a remote form is posted to the page it is on, and its strangers are sent to sign in.
  const action = /<form[^>]* action="([^"]*remote[^"]*)"/.exec((await visitor.page('/remote')).text)[1].replaceAll('&amp;', '&')
  const address = new URL(action, `${url}/remote`).href
  const greeted = await visitor.postForm(address)
  assert.deepEqual([greeted.status, text(greeted.text, 'greeted')], [200, 'Alice Archer'])
  const sent = await stranger.postForm(address)
  assert.equal(sent.status, 303)
  assert.match(sent.headers.location, /^\/login\?/)
})

test('behind the gateway the same application signs in, renews and signs out', async (t) => {
  const { url, signedIn, provider } = await open(t, { mode: 'behind', accessTokenLifetime: '4s' })
  const visitor = await signedIn()
  const issued = (await newestToken(provider)).issued_at_ms
  await until('the access token to die', () => Date.now() > issued + 4_100)
  const page = await visitor.page('/account')
  assert.deepEqual([page.status, text(page.text, 'user'), text(page.text, 'generation')], [200, 'Alice Archer', '1'])
  const sent = await visitor.postForm('/account?/refresh')
  assert.deepEqual([sent.status, sent.headers.location], [307, '/auth/refresh'], 'the gateway has the cookie, so the form goes on to it')
  const out = await visitor.postForm('/logout')
  assert.deepEqual([out.status, out.headers.location], [307, '/auth/signout'])
  await visitor.postForm('/auth/signout', { callbackUrl: '/' })
  assert.deepEqual(visitor.sessionCookies(), [])
  assert.equal((await new Visitor(url).page('/account')).status, 303)
  assert.deepEqual(await provider.harm(), UNHARMED)
})

test('in the browser: sign-in, button and remote function by script, and a sign-out that the other tab follows', async (t) => {
  const { url, provider } = await open(t)
  const browser = await launchBrowser()
  t.after(() => browser.close())
  const { page, context, complaints } = await openPage(browser)
  const part = (name, of = page) => of.locator(`[data-test="${name}"]`)
  const go = (address, of = page) => of.goto(`${url}${address}`, { waitUntil: 'networkidle' })
  await go('/')
  await page.getByRole('button', { name: 'Sign in by script' }).click()
  await part('generation').filter({ hasText: '0' }).waitFor()
  await page.waitForLoadState('networkidle')

  await until('the token to be a second old', async () => Date.now() - (await newestToken(provider)).issued_at_ms > 1_050)
  await page.getByRole('button', { name: 'Refresh Token' }).click()
  await page.getByRole('status').filter({ hasText: 'Renewed.' }).waitFor()
  await part('generation').filter({ hasText: '1' }).waitFor()

  await go('/remote')
  await page.getByRole('button', { name: 'Who am I?' }).click()
  await page.getByRole('status').filter({ hasText: 'Alice Archer' }).waitFor()
  await page.getByRole('button', { name: 'Greet me' }).click()
  await part('greeted').filter({ hasText: 'Alice Archer' }).waitFor()

  const other = await context.newPage()
  await go('/', other)
  await other.getByRole('button', { name: 'Sign out by script' }).click()
  await other.getByRole('button', { name: 'Sign in by script' }).waitFor()
  await part('user').filter({ hasText: 'nobody' }).waitFor()
  assert.deepEqual(complaints, [])
  assert.deepEqual(await provider.harm(), UNHARMED)
})

test('while the gateway is away nobody is signed out', async (t) => {
  const { url, signedIn, gateway } = await open(t)
  const visitor = await signedIn()
  await gateway.stop()
  assert.equal((await visitor.page('/account')).status, 503)
  assert.equal((await new Visitor(url).page('/')).status, 200)
  await gateway.start()
  assert.equal((await visitor.page('/account')).status, 200)
})

async function newestToken(provider) {
  const { families } = await provider.state()
  return families.at(-1).refresh_tokens.at(-1)
}

/** The path under which the browser calls a remote function: `<hash of the file>/<name>`, as the client's code has it. */
function remoteId(name) {
  const folder = path.join(kit2, 'build/client/_app/immutable')
  for (const file of readdirSync(folder, { recursive: true })) {
    const found = file.endsWith('.js') && new RegExp(`["'\`](\\w+/${name})["'\`]`).exec(readFileSync(path.join(folder, file), 'utf8'))
    if (found) return found[1]
  }
  throw new Error(`the client knows no remote function ${name}`)
}
