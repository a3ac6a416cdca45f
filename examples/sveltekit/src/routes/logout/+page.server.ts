// Signing out from the server: a form action.

import type { Actions } from './$types';

import { signOut } from '#lib/server/auth.ts';

export const actions: Actions = { default: signOut };
