// The pages people see, as they see them: in their language, light and dark, on a phone and on a desk, without JavaScript.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { barriers, launchBrowser, openPage, screenshot } from '../support/browser.mjs'
import { openApp } from '../support/client-app.mjs'
import { send } from '../support/http.mjs'

const LANGUAGES = [
  { locale: 'en-GB', lang: 'en', title: 'Sign in' },
  { locale: 'de-AT', lang: 'de', title: 'Anmelden' },
  { locale: 'es-MX', lang: 'es', title: 'Iniciar sesión' },
  { locale: 'fr-CA', lang: 'fr', title: 'Se connecter' },
  { locale: 'ja-JP', lang: 'ja', title: 'ログイン' },
  { locale: 'pt-BR', lang: 'pt', title: 'Entrar' },
  { locale: 'hi-IN', lang: 'hi', title: 'साइन इन करें' },
  { locale: 'ar-EG', lang: 'ar', title: 'تسجيل الدخول', dir: 'rtl' },
]

/** Two more providers, so that there is a choice; nobody reaches them here. */
const MORE_PROVIDERS = ['github', 'spotify'].map((preset) => `[[providers]]\npreset = "${preset}"\nclient_id = "x"\nclient_secret_env = "PROVIDER_SECRET"\n`).join('')

let browser
before(async () => (browser = await launchBrowser()))
after(() => browser?.close())

/** No page may be wider than the screen. */
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

/** Everything that must hold of any page, in both colour schemes and at both widths. */
async function sound(visit, where, { lang, dir = 'ltr' }, name) {
  const { page, complaints } = visit
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    for (const [size, width, height] of [['phone', 360, 740], ['desk', 1280, 800]]) {
      await page.setViewportSize({ width, height })
      const label = `${name} ${lang} ${colorScheme} ${size}`
      assert.deepEqual(await barriers(page), [], label)
      assert.ok((await overflow(page)) <= 0, `${label} is wider than the screen`)
      const taken = size === 'phone' ? colorScheme === 'light' : ['en', 'ar'].includes(lang)
      if (taken) await screenshot(page, `page-${name}-${lang}-${colorScheme}-${size}`)
    }
  }
  assert.deepEqual(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]), [lang, dir], where)
  assert.deepEqual(complaints.filter(({ kind }) => kind !== 'console'), [], where)
}

const PAGES = [
  ['sign-in', '/auth/signin?error=OAuthCallbackError'],
  ['sign-out', '/auth/signout'],
  ['error', '/auth/error?error=Configuration'],
  ['verify', '/auth/verify-request'],
]

test('each page in each language, light and dark, on a phone and on a desk', { concurrency: 3 }, async (t) => {
  const app = await openApp(t, { more: MORE_PROVIDERS })
  const waiting = await openApp(t, {})
  await waiting.provider.down()
  await Promise.all(
    LANGUAGES.map((language) =>
      t.test(`pages in ${language.lang}`, async (t) => {
        const visit = await openPage(browser, { locale: language.locale })
        t.after(visit.close)
        for (const [name, path] of PAGES) {
          await visit.page.goto(`${app.url}${path}`)
          if (name === 'sign-in') assert.equal(await visit.page.locator('h1').textContent(), language.title)
          await sound(visit, path, language, name)
        }
        const answer = await visit.page.goto(`${waiting.url}/members`)
        assert.equal(answer.status(), 503)
        await sound(visit, '/members', language, 'holding')
      }),
    ),
  )
  await waiting.provider.up()
})

test('a person without JavaScript signs in and out over the pages', async (t) => {
  const app = await openApp(t, { more: MORE_PROVIDERS })
  const { page, close } = await openPage(browser, { javaScriptEnabled: false, locale: 'fr' })
  t.after(close)
  await page.goto(`${app.url}/members?from=here`)
  assert.match(page.url(), /\/auth\/signin\?callbackUrl=/, 'with a choice, the choice')
  await page.getByRole('button', { name: 'OpenID Connect' }).click()
  await page.waitForURL(`${app.url}/members?from=here`)
  await page.goto(`${app.url}/auth/signout`)
  await page.getByRole('link', { name: 'Rester connecté' }).click()
  await page.waitForURL(`${app.url}/`)
  await page.goto(`${app.url}/auth/signout`)
  await page.getByRole('button', { name: 'Se déconnecter' }).click()
  await page.waitForURL(`${app.url}/`)
  await page.goto(`${app.url}/members`)
  assert.match(page.url(), /\/auth\/signin\?callbackUrl=/)
})

test('the holding page tries again by itself, and arrives when the provider is back', async (t) => {
  const app = await openApp(t, {})
  await app.provider.down()
  const { page, close } = await openPage(browser, { javaScriptEnabled: false, locale: 'de' })
  t.after(close)
  const answer = await page.goto(`${app.url}/members?from=here`)
  assert.equal(answer.status(), 503)
  const { 'retry-after': retryAfter, vary, 'content-language': language, 'cache-control': cache } = answer.headers()
  assert.ok(Number(retryAfter) >= 1, retryAfter)
  assert.match(vary, /Accept-Language/)
  assert.equal(language, 'de')
  assert.match(cache, /no-store/)
  assert.equal(await page.locator('h1').textContent(), 'Einen Moment')
  await app.provider.up()
  await page.waitForURL(`${app.url}/members?from=here`)
  await page.locator('#root').waitFor({ state: 'attached' })
})

test('the theme is the site’s, and nothing else gets in', async (t) => {
  const theme = '[theme]\ncolor_scheme = "dark"\nlogo = "/logo.svg"\nbrand_color = "#ffcc00"\n'
  const app = await openApp(t, { settings: theme, more: MORE_PROVIDERS })
  const visit = await openPage(browser, { colorScheme: 'light', locale: 'en' })
  t.after(visit.close)
  await visit.page.goto(`${app.url}/auth/signin`)
  const look = await visit.page.evaluate(() => {
    const of = (selector) => getComputedStyle(document.querySelector(selector))
    return { button: of('button').backgroundColor, words: of('button').color, scheme: of('html').colorScheme, logo: document.querySelector('img').getAttribute('src') }
  })
  assert.deepEqual(look, { button: 'rgb(255, 204, 0)', words: 'rgb(0, 0, 0)', scheme: 'dark', logo: '/logo.svg' })
  assert.deepEqual(await barriers(visit.page), [])
  await screenshot(visit.page, 'page-themed')
  assert.deepEqual(visit.complaints.filter(({ kind }) => kind === 'policy'), [])

  const { headers, text } = await send(`${app.url}/auth/signin?callbackUrl=${encodeURIComponent('"><script>alert(1)</script>')}&error=<script>`)
  const policy = headers['content-security-policy']
  assert.match(policy, /default-src 'none'/)
  assert.doesNotMatch(policy, /unsafe/)
  assert.doesNotMatch(text, /<script|style=/)
})
