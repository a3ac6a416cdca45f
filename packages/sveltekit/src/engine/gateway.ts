// Requests to the gateway's endpoints, from this server.

import { type Answer, EngineUnreachable } from './engine.js';

/** Longer than the gateway lets a request wait for a renewal (`wait_max`, 15 s). */
const DEADLINE = 30_000;

/** `fetch` to the gateway that never follows a redirect and never waits for ever. */
export async function reach(address: URL, init: RequestInit): Promise<Response> {
	try {
		return await fetch(address, { ...init, redirect: 'manual', signal: AbortSignal.timeout(DEADLINE) });
	} catch (cause) {
		throw new EngineUnreachable(`The gateway at ${address.origin} gave no answer; start it, or correct its address.`, { cause });
	}
}

/** Posts JSON to an endpoint with the visitor's cookies. The gateway takes it for a program's: no `Origin`, no fetch metadata. */
export async function postJson(address: URL, visitor: Request, fields: unknown, headers: Record<string, string> = {}): Promise<Answer> {
	const response = await reach(address, {
		method: 'POST',
		headers: { 'content-type': 'application/json', ...cookiesOf(visitor), ...headers },
		body: JSON.stringify(fields)
	});
	const text = await response.text().catch((cause: unknown) => {
		throw new EngineUnreachable('The gateway broke off in the middle of its answer.', { cause });
	});
	return { status: response.status, body: parsed(text), setCookies: response.headers.getSetCookie() };
}

function cookiesOf(visitor: Request): Record<string, string> {
	const cookie = visitor.headers.get('cookie');
	return cookie === null ? {} : { cookie };
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

/** An address without a path, query or fragment. Throws an `Error` that says which option is wrong. */
export function originOf(option: string, value: string | URL): URL {
	const url = URL.canParse(value) ? new URL(value) : null;
	if (url === null || !['http:', 'https:'].includes(url.protocol) || url.href !== `${url.origin}/`) {
		throw new Error(`${option} must be an origin without a path, such as http://127.0.0.1:4200`);
	}
	return url;
}

/** A path such as `/auth`. Throws an `Error` that says which option is wrong. */
export function basePath(value: string): string {
	if (!/^(\/[\w.-]+)+$/.test(value)) throw new Error('authPath must be a plain path without a slash at its end, such as /auth');
	return value;
}
