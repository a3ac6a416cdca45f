// When to ask for the session again, so that however many tabs wake up, one of them asks.

import type { Session } from '../types.js';
import type { News } from './tabs.js';

/** What the lookout needs of its surroundings. */
export interface Surroundings {
	/** Asks the engine. Throws when nobody can say. */
	ask: () => Promise<Session | null>;
	/** Tells every tab, this one included. */
	announce: (news: News) => void;
	/** Runs `work` while no other tab runs its own, and tells it whether it had to wait for another. */
	alone: (work: (waited: boolean) => Promise<void>) => Promise<void>;
	/** Gives news of another tab a moment to arrive, for it may come after that tab has let go. */
	moment: () => Promise<void>;
	now: () => number;
}

export class Lookout {
	readonly #around: Surroundings;
	/** What is known is from then. */
	#seenAt: number;
	#looking: Promise<void> | null = null;

	/** `seenAt`: when the session that came with the page was made. */
	constructor(around: Surroundings, seenAt: number) {
		this.#around = around;
		this.#seenAt = seenAt;
	}

	/** Some tab, perhaps this one, has seen the session. Whether that is news. */
	heard(at: number): boolean {
		if (at < this.#seenAt) return false;
		this.#seenAt = at;
		return true;
	}

	/** Asks, unless what is known is younger than `age` milliseconds. Throws when nobody can say. */
	look(age: number): Promise<void> {
		if (this.#isYounger(age)) return Promise.resolve();
		const began = this.#around.now();
		this.#looking ??= this.#around
			.alone(async (waited) => {
				// Another tab may have asked while this one waited for its turn.
				const answered = () => this.#seenAt >= began || this.#isYounger(age);
				if (answered()) return;
				if (waited) await this.#around.moment();
				if (answered()) return;
				const at = this.#around.now();
				const session = await this.#around.ask();
				this.#around.announce({ session, at });
			})
			.finally(() => {
				this.#looking = null;
			});
		return this.#looking;
	}

	#isYounger(age: number): boolean {
		return this.#around.now() - this.#seenAt < age;
	}
}
