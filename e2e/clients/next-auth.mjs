// A page as an app of next-auth has it: a SessionProvider, and what it knows on the screen. Which next-auth is meant, and under which
// base path, the bundler says.
import * as client from 'next-auth/react'
import { createElement as h, useEffect } from 'react'
import { createRoot } from 'react-dom/client'

const asked = new URLSearchParams(location.search)

/** Every status that was on the screen, in order. */
window.seen = []
window.client = client

function Shown() {
  const { data, status, update } = client.useSession({ required: asked.has('required') })
  window.update = update
  useEffect(() => void window.seen.push(status), [status])
  return h('main', null, h('output', { 'data-test': 'status' }, status), ' ', h('output', { 'data-test': 'name' }, data?.user?.name ?? ''))
}

const provider = { basePath: __BASE_PATH__, refetchInterval: Number(asked.get('refetch') ?? 0) }
createRoot(document.getElementById('root')).render(h(client.SessionProvider, provider, h(Shown)))
