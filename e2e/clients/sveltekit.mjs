// A page that has the browser half of @auth/sveltekit at hand.
import * as client from '@auth/sveltekit/client'

window.client = client
window.ready = true
