// The browser's side: signing in and out, renewing, and a session that keeps itself up to date.

export { refresh, RefreshFailed, signIn, type SignInOptions, signOut, type SignOutOptions, update } from './actions.js';
export { createSession, type SessionOptions, SessionState, useSession } from './session.svelte.js';
export type { DefaultSession, Session } from '../types.js';
