// Requests to the gateway's endpoints, from this server.

import * as http from 'node:http';
import * as https from 'node:https';
import { Readable } from 'node:stream';

import { type Answer, EngineUnreachable } from './engine.js';

/** Longer than the gateway lets a request wait for a renewal (`wait_max`, 15 s). */
const DEADLINE = 30_000;

/** Connections are kept, but let go before the gateway does (15 s): one that it has just closed would lose a request. */
const AGENTS = {
	'http:': new http.Agent({ keepAlive: true, timeout: 10_000 }),
	'https:': new https.Agent({ keepAlive: true, timeout: 10_000 })
};

export interface Outgoing {
	method: string;
	headers: Record<string, string>;
	body?: ReadableStream<Uint8Array> | string | null;
}

/**
 * Sends one request and gives back the answer as it streams in. Not `fetch`, which puts its own `Sec-Fetch-Mode` in the place of the
 * browser's: the gateway tells page loads from scripts by it.
 *
 * Throws `EngineUnreachable` when the gateway gives no answer in time.
 */
export function reach(address: URL, { method, headers, body = null }: Outgoing): Promise<Response> {
	return new Promise((resolve, reject) => {
		const unreachable = (cause: unknown) =>
			reject(new EngineUnreachable(`The gateway at ${address.origin} gave no answer; start it, or correct its address.`, { cause }));
		const secure = address.protocol === 'https:';
		const agent = AGENTS[secure ? 'https:' : 'http:'];
		const request = (secure ? https : http).request(address, { method, headers, agent, signal: AbortSignal.timeout(DEADLINE) });
		request.once('error', unreachable);
		request.once('response', (incoming) => resolve(answered(incoming)));
		if (body === null || typeof body === 'string') request.end(body ?? undefined);
		else Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]).once('error', (error) => request.destroy(error)).pipe(request);
	});
}

function answered(incoming: http.IncomingMessage): Response {
	const headers = new Headers();
	for (const [name, values] of Object.entries(incoming.headersDistinct)) for (const value of values ?? []) headers.append(name, value);
	const status = incoming.statusCode ?? 502;
	// A `Response` of these has no body, not even an empty one (Fetch §2.2.3).
	if ([204, 205, 304].includes(status)) {
		incoming.resume();
		return new Response(null, { status, headers });
	}
	return new Response(Readable.toWeb(incoming) as ReadableStream<Uint8Array>, { status, headers });
}

/** Posts JSON to an endpoint with the visitor's cookies. The gateway takes it for a program's: no `Origin`, no fetch metadata. */
export async function postJson(address: URL, visitor: Request, fields: unknown, headers: Record<string, string> = {}): Promise<Answer> {
	const body = JSON.stringify(fields);
	const length = String(Buffer.byteLength(body));
	const response = await reach(address, {
		method: 'POST',
		headers: { 'content-type': 'application/json', 'content-length': length, ...cookiesOf(visitor), ...headers },
		body
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
