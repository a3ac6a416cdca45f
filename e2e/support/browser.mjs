// Debian's Chromium, headless, driven by playwright-core; nothing is downloaded.

import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'

import { chromium } from 'playwright-core'

import { ARTIFACTS } from './processes.mjs'

const SCREENSHOTS = path.join(ARTIFACTS, 'screenshots')

export async function launchBrowser() {
  const executablePath = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium'
  if (!existsSync(executablePath)) throw new Error(`${executablePath} is missing: apt-get install chromium`)
  // The sandbox needs user namespaces, which containers seldom grant; the browser only meets loopback here.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] })
}

/**
 * A page whose complaints are collected: console errors, uncaught errors, violations of the Content-Security-Policy, failed requests of its own files.
 * `complaints` must be empty at the end of a test.
 */
export async function openPage(browser, { width = 1440, height = 900, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce', ...options })
  const page = await context.newPage()
  const complaints = []
  page.on('console', (message) => message.type() === 'error' && complaints.push(`${message.text()} (${message.location().url})`))
  page.on('pageerror', (error) => complaints.push(String(error)))
  if (options.javaScriptEnabled !== false) {
    await page.exposeBinding('__violated', (_, violation) => complaints.push(`CSP: ${violation}`))
    await page.addInitScript(() =>
      document.addEventListener('securitypolicyviolation', (event) =>
        window.__violated(`${event.violatedDirective} refused ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`),
      ),
    )
  }
  return { context, page, complaints }
}

/** A picture of the whole page in target/ci-artifacts/screenshots. */
export async function screenshot(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`), fullPage: true })
}
