// Remote functions guard themselves: whoever calls them can name any page.

import { query } from '$app/server';
import { protect } from 'perennial-sveltekit';

export const member = query(async () => {
	const session = await protect();
	return { name: session.user.name ?? 'Somebody' };
});
