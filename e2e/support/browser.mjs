// Debian's Chromium, headless, driven by playwright-core; nothing is downloaded.

import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'

import axe from 'axe-core'
import { chromium } from 'playwright-core'

import { ARTIFACTS } from './processes.mjs'

const SCREENSHOTS = path.join(ARTIFACTS, 'screenshots')

/** `backForwardCache`: whether pages that are left may be kept as they are, which Playwright turns off. */
export async function launchBrowser({ backForwardCache = false } = {}) {
  const executablePath = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium'
  if (!existsSync(executablePath)) throw new Error(`${executablePath} is missing: apt-get install chromium`)
  // The sandbox needs user namespaces, which containers seldom grant; the browser only meets loopback here.
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    ignoreDefaultArgs: backForwardCache ? ['--disable-back-forward-cache'] : [],
  })
}

/**
 * A page whose complaints are collected as `{ kind, text }`: `console` errors, uncaught `script` errors, `policy` violations (Content-Security-Policy).
 * A failed request is a `console` error of Chromium, so `console` is to be left out where something is broken on purpose.
 */
export async function openPage(browser, { width = 1440, height = 900, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce', ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const complaints = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push({ kind: 'console', text: `${message.text()} (${message.location().url})` })
  })
  page.on('pageerror', (error) => complaints.push({ kind: 'script', text: String(error.stack ?? error) }))
  if (options.javaScriptEnabled !== false) {
    await page.exposeBinding('__violated', (_, text) => complaints.push({ kind: 'policy', text }))
    await page.addInitScript(() =>
      document.addEventListener('securitypolicyviolation', (event) =>
        window.__violated(`${event.violatedDirective} refused ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`),
      ),
    )
  }
  return { context, page, complaints, close: () => context.close() }
}

/** What axe-core, by the rules of WCAG 2.2 A and AA, finds wrong with the page as it is now. */
export async function barriers(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }))
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)
}

/** A picture of the whole page in target/ci-artifacts/screenshots. */
export async function screenshot(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`), fullPage: true })
}
