// Every request goes through here: `/auth/*` is answered, everything else learns who sent it.

export { handle, init } from '#lib/server/auth.ts';
