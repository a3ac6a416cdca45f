// An endpoint for members, for programs: 401 for strangers, 503 while there is no live token.

import { json } from '@sveltejs/kit';
import { protect } from 'perennial-sveltekit';

import type { RequestHandler } from './$types';

import { whoami } from '#lib/server/api.ts';

export const GET: RequestHandler = async ({ locals }) => {
	const session = await protect();
	const info = await locals.auth.info();
	return json({ name: session.user.name, generation: info?.generation, ...(await whoami(await locals.auth.accessToken())) });
};
