// All that the application sets up for sign-in. The gateway is either in front of it or behind it; the environment says which.

import { env } from 'node:process';

import { beforeGateway, behindGateway, perennial } from 'perennial-sveltekit';

export const { handle, init, signIn, signOut, refresh } = perennial({
	engine: () =>
		env.PERENNIAL_AUDIENCE === undefined
			? beforeGateway({ gateway: env.PERENNIAL_GATEWAY ?? '', secret: env.AUTH_BACKEND_SECRET ?? '' })
			: behindGateway({ issuer: env.PERENNIAL_ISSUER ?? '', audience: env.PERENNIAL_AUDIENCE }),
	signInPage: '/login',
	protect: ['/(members)']
});
