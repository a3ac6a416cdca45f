// Auth.js as its documentation sets it up, with the renewal of its guide to refreshing tokens.

import { SvelteKitAuth } from '@auth/sveltekit'
import { env } from '$env/dynamic/private'

export const { handle } = SvelteKitAuth(async () => ({
  trustHost: true,
  secret: env.AUTH_SECRET,
  providers: [
    {
      id: 'oidc',
      name: 'The provider',
      type: 'oidc',
      issuer: env.ISSUER,
      clientId: env.CLIENT_ID,
      clientSecret: env.CLIENT_SECRET,
      authorization: { params: { scope: 'openid profile email offline_access', prompt: 'consent' } },
    },
  ],
  callbacks: {
    async jwt({ token, account }) {
      if (account) {
        return { ...token, access_token: account.access_token, expires_at: account.expires_at, refresh_token: account.refresh_token }
      }
      if (Date.now() < token.expires_at * 1000) return token
      const answer = await fetch(`${env.ISSUER}/token`, {
        method: 'POST',
        body: new URLSearchParams({
          client_id: env.CLIENT_ID, client_secret: env.CLIENT_SECRET, grant_type: 'refresh_token', refresh_token: token.refresh_token,
        }),
      })
      if (!answer.ok) return { ...token, error: 'RefreshTokenError' }
      const tokens = await answer.json()
      return {
        ...token, access_token: tokens.access_token, expires_at: Math.floor(Date.now() / 1000 + tokens.expires_in),
        refresh_token: tokens.refresh_token ?? token.refresh_token,
      }
    },
    async session({ session, token }) {
      session.access_token = token.access_token
      return session
    },
  },
}))
