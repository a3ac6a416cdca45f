// RFC 9110 §7.6: one request of a browser passed on to the gateway's endpoints, and its answer back, streamed both ways.

import { EngineUnreachable } from './engine.js';
import { reach } from './gateway.js';

/** Answers `request` with what the gateway says; 503 if it says nothing. */
export async function forward(gateway: URL, request: Request): Promise<Response> {
	const { pathname, search } = new URL(request.url);
	const body = request.method === 'GET' || request.method === 'HEAD' ? null : request.body;
	try {
		const headers = Object.fromEntries(kept(request.headers, REQUEST_HEADERS_DROPPED));
		const response = await reach(new URL(pathname + search, gateway), { method: request.method, headers, body });
		return new Response(response.body, { status: response.status, headers: kept(response.headers, RESPONSE_HEADERS_DROPPED) });
	} catch (error) {
		if (!(error instanceof EngineUnreachable)) throw error;
		console.error(error.message);
		const message = 'Sign-in is out of order for the moment. If you were signed in, you still are: try again a little later.';
		return Response.json({ error: 'gateway_unreachable', message }, { status: 503, headers: { 'retry-after': '2', 'cache-control': 'no-store' } });
	}
}

function kept(headers: Headers, dropped: RegExp): Headers {
	const copy = new Headers();
	for (const [name, value] of headers) if (!dropped.test(name)) copy.append(name, value);
	return copy;
}

// What concerns one connection; `authorization`, because nothing of a browser's may pass for this server's; and what could make the gateway
// believe something about where the request comes from.
const HOP_BY_HOP = 'connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length';
const REQUEST_HEADERS_DROPPED = new RegExp(`^(?:${HOP_BY_HOP}|host|expect|authorization|forwarded|x-forwarded-.*|x-perennial-.*)$`);
const RESPONSE_HEADERS_DROPPED = new RegExp(`^(?:${HOP_BY_HOP})$`);
