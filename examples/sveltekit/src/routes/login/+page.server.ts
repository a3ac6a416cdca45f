// Signing in from the server: a form action.

import type { Actions, PageServerLoad } from './$types';

import { signIn } from '#lib/server/auth.ts';

export const actions: Actions = { default: signIn };

export const load: PageServerLoad = ({ url }) => ({
	callbackUrl: url.searchParams.get('callbackUrl') ?? '/account',
	problem: url.searchParams.get('error')
});
