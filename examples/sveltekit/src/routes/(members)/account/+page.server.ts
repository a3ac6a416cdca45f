// For members: the hook has seen to that, because this route lies in (members).

import type { Actions, PageServerLoad } from './$types';

import { refresh } from '#lib/server/auth.ts';
import { whoami } from '#lib/server/api.ts';

export const load: PageServerLoad = async ({ locals }) => ({
	api: await whoami(await locals.auth.accessToken()),
	// Kit does not load the layout's data again at each navigation; what is to be of this moment belongs to the page.
	info: await locals.auth.info()
});

export const actions: Actions = { refresh };
