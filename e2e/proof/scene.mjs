// One provider, one store, some gateways: what every scenario of the proof is played on.

import { DevProvider } from '../support/dev-provider.mjs'
import { Fleet } from '../support/fleet.mjs'
import { ForeignProvider } from '../support/foreign-provider.mjs'
import { Upstream } from '../support/upstream.mjs'

/** The class in the gateways' settings, and what the development provider calls it. */
const atProvider = (refreshClass) => (refreshClass === 'family' ? 'rotating' : refreshClass)

/**
 * `foreign`: at npm oidc-provider, which rotates and revokes the grant on reuse; else at the development provider, whose class is
 * `refreshClass` and which also does what `behaviour` says. Lifetimes in seconds.
 */
export async function openScene({ name, Store, gateways = 1, foreign = false, refreshClass = 'family', lifetime, behaviour, renewal, limits, env }) {
  const publicUrl = await Fleet.place()
  const closing = []
  const scene = {
    refreshClass,
    lifetime,
    async close() {
      while (closing.length > 0) await closing.pop()()
    },
  }
  try {
    const store = await Store.start(name)
    closing.push(() => store.stop())
    let upstream
    if (foreign) {
      scene.provider = await ForeignProvider.start({ redirectUris: [`${publicUrl}/auth/callback/oidc`], accessTokenLifetime: lifetime })
      const app = await Upstream.start(scene.provider)
      closing.push(() => scene.provider.stop(), () => app.stop())
      upstream = app.url
    } else {
      const script = [`class=${atProvider(refreshClass)}`, ...(behaviour ? [behaviour] : [])].join(',')
      scene.provider = await DevProvider.start({ name, publicUrl, accessTokenLifetime: lifetime, behaviour: script })
      closing.push(() => scene.provider.stop())
      upstream = scene.provider.upstream
    }
    scene.fleet = await Fleet.start({ name, publicUrl, store, provider: scene.provider, size: gateways, refreshClass, renewal, limits, upstream, env })
    closing.push(() => scene.fleet.stop())
    return Object.assign(scene, { store })
  } catch (error) {
    await scene.close()
    throw error
  }
}
