// The statements that were used: each is good for one request.

/** More than a minute's requests of one process; beyond that the oldest are forgotten before their time. */
const LIMIT = 200_000;

export class SeenOnce {
	// In the order of arrival, which is nearly that of expiry: all live equally long.
	readonly #expiries = new Map<string, number>();

	/** Whether `id` is new; it is remembered until `expires`. Times in seconds. */
	add(id: string, expires: number, now: number): boolean {
		this.#forget(now);
		if (this.#expiries.has(id)) return false;
		this.#expiries.set(id, expires);
		return true;
	}

	get size(): number {
		return this.#expiries.size;
	}

	#forget(now: number) {
		for (const [id, expires] of this.#expiries) {
			if (expires > now && this.#expiries.size < LIMIT) return;
			this.#expiries.delete(id);
		}
	}
}
