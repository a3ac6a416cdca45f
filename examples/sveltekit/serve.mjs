// `npm start`: the built application on plain http, for this machine alone. In production a proxy or the gateway speaks https, and
// `node build` is started with PROTOCOL_HEADER and HOST_HEADER as adapter-node's documentation says.

import { createServer } from 'node:http';
import { env } from 'node:process';

const behindGateway = env.PERENNIAL_AUDIENCE !== undefined;
env.PROTOCOL_HEADER = 'x-forwarded-proto';
// The gateway says under which name browsers know this application; nobody else may.
if (behindGateway) env.HOST_HEADER = 'x-forwarded-host';

const { handler } = await import('./build/handler.js');

const server = createServer((request, response) => {
	if (!behindGateway) request.headers['x-forwarded-proto'] = 'http';
	handler(request, response);
});
server.listen(Number(env.PORT ?? 5173), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
process.on('SIGTERM', () => {
	server.close();
	server.closeIdleConnections();
});
