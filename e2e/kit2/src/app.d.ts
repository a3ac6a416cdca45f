// `event.locals.auth` is declared by perennial-sveltekit.

declare global {
	namespace App {
		interface PageData {
			session: import('perennial-sveltekit').Session | null;
		}
	}
}

export {};
