// `event.locals.auth` is declared by perennial-sveltekit. What your gateway's `session` callback adds to the session belongs into
// `App.Session`.

declare global {
	namespace App {
		interface PageData {
			session: import('perennial-sveltekit').Session | null;
			info: import('perennial-sveltekit').SessionInfo | null;
		}
	}
}

export {};
