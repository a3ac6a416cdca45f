// All that the application sets up for sign-in.

import { env } from 'node:process';

import { beforeGateway, behindGateway, perennial, type Engine } from 'perennial-sveltekit';

/** The gateway is either in front of this application or behind it; the environment says which. */
function engine(): Engine {
	if (env.PERENNIAL_AUDIENCE !== undefined) {
		return behindGateway({ issuer: env.PERENNIAL_ISSUER ?? '', audience: env.PERENNIAL_AUDIENCE });
	}
	return beforeGateway({
		gateway: env.PERENNIAL_GATEWAY ?? 'http://127.0.0.1:4200',
		secret: env.AUTH_BACKEND_SECRET ?? '',
		compatRoutes: true
	});
}

export const { handle, init, signIn, signOut, refresh } = perennial({
	engine,
	signInPage: '/login',
	protect: ['/(members)']
});
