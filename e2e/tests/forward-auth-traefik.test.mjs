// Traefik is not in Debian. Of its ready configuration, what can be judged without it is: which headers of a browser's go.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const example = readFileSync(new URL('../../examples/traefik/dynamic.yml', import.meta.url), 'utf8')

test("Traefik: the expression takes out every header that passes for ours, and leaves the proxy's own", () => {
  const [, expression] = example.match(/authResponseHeadersRegex: "\(\?i\)(.*)"/)
  const replaced = new RegExp(expression, 'i')
  // Traefik asks with the spelling of Go, which capitalises after each hyphen.
  const ours = [
    'Authorization', 'Cookie', 'X-Forwarded-User', 'X-Forwarded-Email', 'X-Forwarded-Preferred-Username', 'X-Forwarded-Groups',
    'X-Forwarded-Access-Token', 'X-Perennial-Session', 'X-Perennial-Identity', 'X-Auth-Request-User', 'X-Auth-Request-Access-Token', 'Remote-User',
    'Oidc_claim_sub', 'X_forwarded_user', 'X_perennial_identity', 'X.forwarded.user', 'Remote_user', 'Forwarded',
  ]
  for (const name of ours) assert.match(name, replaced)
  for (const name of ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'Accept', 'Cookies', 'X-Request-Id']) {
    assert.doesNotMatch(name, replaced)
  }
})

test('Traefik: every cookie of a session is on the list, for https and for http', () => {
  const [, list] = example.match(/addAuthCookiesToResponse:\n((?: +- .*\n)+)/)
  const names = list.trim().split('\n').map((line) => line.replace(/^ *- /, ''))
  const chunks = ['', '.0', '.1', '.2', '.3', '.4']
  const expected = ['__Secure-', ''].flatMap((prefix) => chunks.map((chunk) => `${prefix}authjs.session-token${chunk}`))
  assert.deepEqual(names, expected)
})
