import type { Handle } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';

import { handle as auth } from '$lib/server/auth';

export { init } from '$lib/server/auth';

/** A hook of the application's own, after ours. */
const named: Handle = async ({ event, resolve }) => {
	const response = await resolve(event);
	response.headers.set('x-visitor', (await event.locals.auth())?.user.name ?? 'nobody');
	return response;
};

export const handle: Handle = sequence(auth, named);
