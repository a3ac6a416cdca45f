// `perennial()`: the hook that tells every request who sent it, and the form actions that sign in and out.

import { error, redirect, type Action, type RequestEvent } from '@sveltejs/kit';

import type { Engine } from './engine/engine.js';
import { known, locals } from './locals.js';
import { expectsPage, hasUrl, signInPath } from './protect.js';
import { during, underWay, Inquiry } from './inquiry.js';

export interface PerennialOptions {
	/** What keeps the sessions: `beforeGateway(…)` or `behindGateway(…)`. A function is called when the server starts, not while it is built. */
	engine: Engine | (() => Engine);
	/** The sign-in page, if it is the application's own: `/login`. It gets `callbackUrl`, and `error` after a failure. */
	signInPage?: string;
	/** The id of the provider, if there is but one: strangers' page loads go straight to it. */
	provider?: string;
	/**
	 * Routes for those alone who are signed in, as beginnings of route ids, whole segments: `['/(members)', '/account']`. Remote functions
	 * are not among them, for a caller can name any route: use `protect()` inside.
	 */
	protect?: readonly string[];
}

/** Kit's hook, which Kit 2 and Kit 3 export from different modules. */
export type Handle = (input: { event: RequestEvent; resolve: (event: RequestEvent) => Promise<Response> | Response }) => Promise<Response>;

export interface Perennial {
	/** For `hooks.server`; together with others by Kit's `sequence`, first. */
	handle: Handle;
	/** For `hooks.server`: finds faults of the configuration when the server starts, and not at the first request. */
	init: () => void;
	/**
	 * A form action that begins a sign-in. Fields: `providerId`, `redirectTo`, and `authorizationParams-<name>` for parameters that the engine
	 * lets through.
	 */
	signIn: Action;
	/** A form action that signs out. Field: `redirectTo`. */
	signOut: Action;
	/** A form action that renews now and shows the page again. */
	refresh: Action;
}

/** Sets the package up; call it once, in `hooks.server` or in a module of its own that the actions import from, too. */
export function perennial(options: PerennialOptions): Perennial {
	const { signInPage, provider } = options;
	let made: Engine | undefined;
	const engineOf = () => (made ??= typeof options.engine === 'function' ? options.engine() : options.engine);
	const toSignIn = signInPath(engineOf, signInPage, provider);
	const guarded = (options.protect ?? []).map((id) => id.replace(/\/$/, ''));

	const handle: Handle = async ({ event, resolve }) => {
		const engine = engineOf();
		// Not `event.url`: for a remote function that is what the caller says.
		if (engine.serves(new URL(event.request.url).pathname)) return engine.serve(event.request);
		const inquiry = inquiryOf(engine, event);
		event.locals.auth = locals(engine, event, inquiry);
		return during({ event, inquiry, engine, toSignIn }, async () => {
			const refused = await stopped(event, inquiry);
			const response = refused ?? (await resolve(event));
			// What a request within this one wants set, this one sets.
			return event.isSubRequest ? response : inquiry.attach(response);
		});
	};

	async function stopped(event: RequestEvent, inquiry: Inquiry): Promise<Response | null> {
		const { id } = event.route;
		if (id === null || event.isRemoteRequest || !guarded.some((one) => id === one || id.startsWith(`${one}/`))) return null;
		const { visitor } = await known(inquiry.entry());
		if (visitor.state !== 'stranger') return null;
		return expectsPage(event) ? sentToSignIn(event, inquiry) : Response.json({ error: 'not_signed_in', message: 'Sign in first, then repeat the request.' }, { status: 401 });
	}

	/** A redirect that is thrown out of `handle` would leave the cookies of the sign-in behind. */
	async function sentToSignIn(event: RequestEvent, inquiry: Inquiry): Promise<Response> {
		try {
			return await toSignIn(event, inquiry);
		} catch (thrown) {
			if (!isRedirectTo(thrown) || event.isDataRequest || event.request.headers.has('x-sveltekit-action')) throw thrown;
			return new Response(null, { status: thrown.status, headers: { location: thrown.location, 'cache-control': 'private, no-store' } });
		}
	}

	const signIn: Action = async (event) => {
		const engine = engineOf();
		const form = await event.request.formData();
		const field = (name: string) => textOf(form.get(name));
		const chosen = field('providerId') ?? provider;
		const callbackUrl = afterwards(event, field('redirectTo') ?? event.url.searchParams.get('callbackUrl') ?? undefined);
		if (chosen === undefined) redirect(303, `${signInPage ?? `${engine.base}/signin`}?${new URLSearchParams({ callbackUrl }).toString()}`);
		const answer = await known(engine.post(event.request, `/signin/${encodeURIComponent(chosen)}`, { ...authorizationParams(form), callbackUrl }));
		if (!hasUrl(answer.body)) error(answer.status === 404 ? 404 : 502, 'This sign-in could not be begun.');
		inquiryOf(engine, event).keep(answer.setCookies);
		redirect(303, answer.body.url, { external: true });
	};

	const signOut: Action = async (event) => {
		const engine = engineOf();
		// There the gateway has the cookie, so the browser has to post again, to it: 307 does that.
		if (!engine.holdsCookies) redirect(307, `${engine.base}/signout`);
		const form = await event.request.formData();
		const callbackUrl = textOf(form.get('redirectTo')) ?? '/';
		const answer = await known(engine.post(event.request, '/signout', { callbackUrl }));
		if (!hasUrl(answer.body)) error(502, 'Signing out failed; try again.');
		inquiryOf(engine, event).changed(answer.setCookies);
		redirect(303, answer.body.url, { external: true });
	};

	const refresh: Action = async (event) => {
		const renewed = await event.locals.auth.refresh();
		if (renewed === null) error(401, 'Sign in first.');
		return { refreshed: { renewed: renewed.renewed, generation: renewed.generation } };
	};

	return { handle, init: () => void engineOf(), signIn, signOut, refresh };
}

/** The inquiry of a request: that of the request it is part of, if it is. */
function inquiryOf(engine: Engine, event: RequestEvent): Inquiry {
	const current = underWay();
	if (current !== undefined && current.engine === engine) {
		// `fetch` with `credentials: 'omit'` comes without the visitor's cookies, and then without the visitor.
		const within = !event.isSubRequest || !engine.holdsCookies || event.request.headers.has('cookie');
		if (within) return current.inquiry;
	}
	const inquiry = new Inquiry(engine, event.request);
	inquiry.begin();
	return inquiry;
}

function textOf(value: FormDataEntryValue | null): string | undefined {
	return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Where to go afterwards: what was asked for, else the page that asked. The engine sees to it that it is ours. */
function afterwards(event: RequestEvent, asked: string | undefined): string {
	return asked ?? event.request.headers.get('referer') ?? '/';
}

function authorizationParams(form: FormData): Record<string, string> {
	const params: Record<string, string> = {};
	for (const [name, value] of form) {
		if (name.startsWith(PARAM) && typeof value === 'string') params[name.slice(PARAM.length)] = value;
	}
	return params;
}

const PARAM = 'authorizationParams-';

function isRedirectTo(thrown: unknown): thrown is { status: number; location: string } {
	return typeof thrown === 'object' && thrown !== null && 'location' in thrown && 'status' in thrown;
}
