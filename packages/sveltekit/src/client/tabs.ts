// What the tabs of one browser tell each other.

import type { Session } from '../types.js';

/** The session as some tab saw it, at a time in milliseconds since 1970. */
export interface News {
	session: Session | null;
	at: number;
}

const NAME = 'perennial-session';

/** Tells the other tabs, and listeners of this one. */
export function announce(news: News) {
	listeners.forEach((listen) => listen(news));
	if (typeof BroadcastChannel === 'undefined') return;
	// A channel of its own, closed at once: one that stays open keeps the page out of the back/forward cache in some browsers.
	const channel = new BroadcastChannel(NAME);
	channel.postMessage(news);
	channel.close();
}

const listeners = new Set<(news: News) => void>();

/** Has `listen` called for news of this tab and of others; what it gives back ends that. */
export function listen(listen: (news: News) => void): () => void {
	listeners.add(listen);
	if (typeof BroadcastChannel === 'undefined') return () => listeners.delete(listen);
	let channel: BroadcastChannel | null = null;
	const open = () => {
		channel ??= new BroadcastChannel(NAME);
		channel.onmessage = ({ data }: MessageEvent<News>) => listen(data);
	};
	const close = () => {
		channel?.close();
		channel = null;
	};
	open();
	// For the same reason it is closed when the page is put away, and opened when it comes back.
	addEventListener('pagehide', close);
	addEventListener('pageshow', open);
	return () => {
		listeners.delete(listen);
		removeEventListener('pagehide', close);
		removeEventListener('pageshow', open);
		close();
	};
}
