// The session of a page: what the server rendered with, kept up to date in every tab.

import { getContext, onMount, setContext } from 'svelte';

import type { Session } from '../types.js';
import { Lookout } from './lookout.js';
import { announce, listen } from './tabs.js';

export interface SessionOptions {
	/** The engine's `base_path`. */
	authPath?: string;
	/** How old what is known may be when the tab is looked at again, in milliseconds; 5 s. */
	staleAfter?: number;
	/** How often to ask while the tab is looked at, in milliseconds; never unless set, for every request of the page renews anyway. */
	refetchInterval?: number;
	/** Called in the browser when somebody else is signed in than before, or nobody: usually Kit's `invalidateAll`. */
	onchange?: (session: Session | null) => void;
}

/** A session that follows what happens in other tabs. Made by `createSession`. */
export class SessionState {
	/** Whether the last look failed. Who was signed in then counts as signed in. */
	outdated = $state(false);

	readonly #options: SessionOptions;
	readonly #initial: () => Session | null;
	/** What was seen later than what the page was rendered with, and instead of it. */
	#seen = $state.raw<{ session: Session | null; instead: Session | null } | null>(null);
	readonly #rendered = $derived.by(() => this.#initial());
	#lookout: Lookout | null = null;

	constructor(initial: () => Session | null, options: SessionOptions = {}) {
		this.#initial = initial;
		this.#options = options;
	}

	/** The session; `null` for a stranger. */
	get current(): Session | null {
		// What was seen counts until the page is loaded anew.
		return this.#seen !== null && this.#seen.instead === this.#rendered ? this.#seen.session : this.#rendered;
	}

	/** Whether somebody is signed in. */
	get signedIn(): boolean {
		return this.current !== null;
	}

	/** Asks the engine now. Several at once are one question, in all tabs together. */
	async refetch(): Promise<void> {
		await this.#look(0);
	}

	/** Begins to follow; what it gives back ends that. `createSession` does it. */
	follow(): () => void {
		const { authPath = '/auth', staleAfter = 5_000, refetchInterval } = this.#options;
		const lookout = new Lookout({ ask: () => ask(authPath), announce, alone, moment, now: Date.now }, Date.now());
		this.#lookout = lookout;
		const deaf = listen(({ session, at }) => {
			if (!lookout.heard(at)) return;
			this.outdated = false;
			this.#see(session);
		});
		const looked = () => {
			if (document.visibilityState === 'visible') void this.#look(staleAfter);
		};
		// From the back/forward cache a page comes as it was, perhaps before a sign-out.
		const shown = ({ persisted }: PageTransitionEvent) => {
			if (persisted) void this.#look(0);
		};
		document.addEventListener('visibilitychange', looked);
		addEventListener('focus', looked);
		addEventListener('online', looked);
		addEventListener('pageshow', shown);
		const timer = refetchInterval === undefined ? undefined : setInterval(looked, Math.max(refetchInterval, 1_000));
		return () => {
			deaf();
			document.removeEventListener('visibilitychange', looked);
			removeEventListener('focus', looked);
			removeEventListener('online', looked);
			removeEventListener('pageshow', shown);
			clearInterval(timer);
			this.#lookout = null;
		};
	}

	#see(session: Session | null) {
		const before = this.current;
		this.#seen = { session, instead: this.#rendered };
		if (!isSameUser(before, session)) this.#options.onchange?.(session);
	}

	async #look(age: number): Promise<void> {
		try {
			await this.#lookout?.look(age);
		} catch {
			// Nobody can say: whoever was signed in stays so.
			this.outdated = true;
		}
	}
}

/**
 * The session for a layout and everything in it. Call it while the component initialises:
 *
 * ```svelte
 * let { data, children } = $props();
 * const session = createSession(() => data.session, { onchange: () => invalidateAll() });
 * ```
 */
export function createSession(initial: () => Session | null, options: SessionOptions = {}): SessionState {
	const session = new SessionState(initial, options);
	setContext(KEY, session);
	onMount(() => session.follow());
	return session;
}

/** The session that a layout around this component has created. */
export function useSession(): SessionState {
	const session = getContext<SessionState | undefined>(KEY);
	if (session === undefined) throw new Error('useSession() needs a layout around it that has called createSession()');
	return session;
}

const KEY = Symbol.for('perennial-session');

async function ask(authPath: string): Promise<Session | null> {
	const response = await fetch(`${authPath}/session`, { headers: { accept: 'application/json' }, cache: 'no-store' });
	if (!response.ok) throw new Error(`${authPath}/session answered ${response.status}`);
	return (await response.json()) as Session | null;
}

async function alone(work: (waited: boolean) => Promise<void>): Promise<void> {
	// Only secure contexts have locks; without them each tab asks for itself.
	if (!('locks' in navigator)) return work(false);
	const free = await navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) => {
		if (lock !== null) await work(false);
		return lock !== null;
	});
	if (!free) await navigator.locks.request(LOCK, () => work(true));
}

const LOCK = 'perennial-session';

function moment(): Promise<void> {
	return new Promise((resolve) => {
		const done = () => {
			deaf();
			clearTimeout(timer);
			resolve();
		};
		const deaf = listen(done);
		const timer = setTimeout(done, 100);
	});
}

function isSameUser(one: Session | null, other: Session | null): boolean {
	return JSON.stringify(one?.user ?? null) === JSON.stringify(other?.user ?? null);
}
