import { form, query } from '$app/server';
import { protect } from 'perennial-sveltekit';

export const member = query(async () => (await protect()).user.name ?? 'Somebody');

export const greet = form(async () => ({ greeted: (await protect()).user.name ?? 'Somebody' }));
