// Signing in by HTTP as a browser would, at whatever subject: what comes out is the Cookie header of somebody who is signed in.

import { Visitor } from '../../e2e/support/visitor.mjs'

/** `signIn` is where a form is posted to, for a subject that does not send page loads to its provider by itself. */
export async function signedIn({ url, signIn, authority }, provider, page) {
  // Cookies know no ports: with one jar the subject would be sent the provider's as well.
  const [here, there] = [new Visitor(url), new Visitor(provider.issuer)]
  let next = url + page
  if (signIn) {
    const begun = await here.postForm(signIn, { callbackUrl: next })
    next = begun.headers.location
  }
  for (let step = 0; next; step += 1) {
    const at = new URL(next, url)
    const atProvider = at.origin === provider.issuer
    // The provider signs in at once whom the hint names.
    if (atProvider) at.searchParams.set('login_hint', 'alice')
    const answer = await (atProvider ? there : here).page(at.href, { authority })
    if (answer.status === 200 && !atProvider) break
    const { location } = answer.headers
    if (!location || step > 10) throw new Error(`signing in at ${url} ended at ${at.href} with ${answer.status}: ${answer.text.slice(0, 2_000)}`)
    next = new URL(location, at).href
  }
  return here.jar.getCookieString(url + page)
}
