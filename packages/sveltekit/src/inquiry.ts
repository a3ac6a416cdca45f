// One request of a visitor: the engine is asked once, and what it wants set is set once, whoever asks and however often.

import { AsyncLocalStorage } from 'node:async_hooks';

import type { RequestEvent } from '@sveltejs/kit';

import type { Engine, Entry } from './engine/engine.js';

/** How long an answer that nobody asked about waits for the engine, so that its cookies can go along (milliseconds). */
const PATIENCE = 1_000;

export class Inquiry {
	readonly #engine: Engine;
	readonly #request: Request;
	/** The last line of each cookie's name: a browser keeps no other. */
	readonly #cookies = new Map<string, string>();
	#entry: Promise<Entry> | null = null;
	/** Whether anybody waits for the engine, so that the answer has to. */
	#wanted = false;

	constructor(engine: Engine, request: Request) {
		this.#engine = engine;
		this.#request = request;
	}

	/** Who is there. */
	entry(): Promise<Entry> {
		this.#wanted = true;
		return this.#asked();
	}

	/** Asks ahead, for the sake of the cookies: once the answer has begun it is too late to set them. */
	begin() {
		if (this.#engine.mayBeSignedIn(this.#request)) void this.#asked();
	}

	/** Renews; whoever asks from now on is told what came of it. */
	renew(): Promise<Entry> {
		this.#wanted = true;
		return this.#asks(true);
	}

	/** Another answer of the engine has changed who is there: the next who asks is told anew. */
	changed(setCookies: readonly string[]) {
		this.keep(setCookies);
		this.#entry = null;
	}

	/** Sets these with the answer. After the answer has begun they are dropped: the engine finds its way with an old cookie, too. */
	keep(setCookies: readonly string[]) {
		for (const line of setCookies) this.#cookies.set(line.slice(0, line.indexOf('=')), line);
	}

	/** The answer with what has to be set. */
	async attach(response: Response): Promise<Response> {
		if (this.#entry !== null) {
			const settled = this.#entry.then(nothing, nothing);
			await (this.#wanted ? settled : Promise.race([settled, pause(PATIENCE)]));
		}
		if (this.#cookies.size === 0) return response;
		// Headers of a response that came from `fetch` cannot be changed.
		const answer = new Response(response.body, response);
		for (const line of this.#cookies.values()) answer.headers.append('set-cookie', line);
		answer.headers.set('cache-control', 'private, no-store');
		return answer;
	}

	#asked(): Promise<Entry> {
		return this.#entry ?? this.#asks(false);
	}

	#asks(renew: boolean): Promise<Entry> {
		const known = this.#engine.mayBeSignedIn(this.#request);
		const asked = known ? this.#engine.enter(this.#request, { renew }) : Promise.resolve(NOBODY);
		const entry: Promise<Entry> = asked.then((entered) => {
			// An answer from before a sign-out or a renewal, but after it: its cookies would undo that.
			if (this.#entry === entry) this.keep(entered.setCookies);
			return entered;
		});
		this.#entry = entry;
		// Whoever waits for it is told; if nobody does, it must not end the process.
		entry.catch(nothing);
		return entry;
	}
}

/** A request under way, for those who are called without it. */
export interface Current {
	event: RequestEvent;
	inquiry: Inquiry;
	engine: Engine;
	/** Where strangers are sent. */
	toSignIn: (event: RequestEvent, inquiry: Inquiry) => Promise<never>;
}

const storage = new AsyncLocalStorage<Current>();

/** Runs `work` as part of a request. */
export const during = <T>(current: Current, work: () => T): T => storage.run(current, work);

/** The request under way, if there is one. */
export const underWay = (): Current | undefined => storage.getStore();

const NOBODY: Entry = { visitor: { state: 'stranger' }, setCookies: [], renewed: false };

function nothing() {}

function pause(milliseconds: number): Promise<void> {
	return new Promise((resolve) => {
		setTimeout(resolve, milliseconds).unref();
	});
}
