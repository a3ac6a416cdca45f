// A gateway that answers what a test says.

import { once } from 'node:events';
import { createServer } from 'node:http';

/** Listens on a port of its own until the test ends; `answer(request, response, body)` is the test's. */
export async function serve(t, answer) {
	const seen = [];
	const server = createServer(async (request, response) => {
		const parts = [];
		for await (const part of request) parts.push(part);
		const body = Buffer.concat(parts).toString();
		seen.push({ method: request.method, url: request.url, headers: request.headers, body });
		answer(request, response, body);
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return { url: `http://127.0.0.1:${server.address().port}`, seen, server };
}

/** A port that nobody listens on. */
export async function nobody(t) {
	const { url, server } = await serve(t, () => {});
	server.close();
	await once(server, 'close');
	return url;
}

export const json = (response, status, value, headers = {}) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
