// Calls the app in the user's name, and passes its answer on.

import { env } from '$env/dynamic/private'

export async function GET({ locals, params }) {
  const session = await locals.auth()
  if (!session) return new Response('signed out', { status: 401 })
  const answer = await fetch(`${env.UPSTREAM}/body/${params.size}`, { headers: { authorization: `Bearer ${session.access_token}` } })
  return new Response(answer.body, { status: answer.status })
}
