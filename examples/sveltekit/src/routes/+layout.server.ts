// What every page may know of its visitor. Asked here, in the hook and in the page: the gateway is asked once.

import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = async ({ locals }) => ({
	session: await locals.auth(),
	info: await locals.auth.info()
});
