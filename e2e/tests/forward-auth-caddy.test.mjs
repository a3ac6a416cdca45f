// Forward-auth with Debian's Caddy and the ready configuration in examples/caddy.

import { describe } from 'node:test'

import { Caddy } from '../support/forward-auth.mjs'
import { scenarios } from '../support/forward-auth-scenarios.mjs'

// Each test mostly waits for tokens to die, and shares nothing with its neighbours.
describe('Caddy', { concurrency: 4 }, () => scenarios(Caddy))
