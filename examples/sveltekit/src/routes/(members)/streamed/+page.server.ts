// A page that begins before all of it is there: what comes late asks who is there long after the headers have gone.

import { setTimeout as pause } from 'node:timers/promises';

import type { PageServerLoad } from './$types';

import { whoami } from '#lib/server/api.ts';

export const load: PageServerLoad = async ({ locals }) => ({
	early: (await locals.auth.info())?.generation,
	late: late(locals.auth)
});

async function late(auth: App.Locals['auth']) {
	// A slow database, say.
	await pause(400);
	const [session, info, token] = await Promise.all([auth(), auth.info(), auth.accessToken()]);
	return { name: session?.user.name, generation: info?.generation, ...(await whoami(token)) };
}
