import { refresh } from '$lib/server/auth';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals }) => ({
	info: await locals.auth.info(),
	// Its length, for the token itself belongs on the server alone.
	tokenLength: (await locals.auth.accessToken()).length
});

export const actions: Actions = { refresh };
