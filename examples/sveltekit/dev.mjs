// `npm run dev`: the development provider, the gateway and Vite, and the end of all three with Ctrl-C.
// With `-- --behind` the gateway stands in front of the application instead of behind it.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const built = path.join(here, '../../target/debug/perennial');
const perennial = process.env.PERENNIAL_BIN ?? (existsSync(built) ? built : 'perennial');
const behind = process.argv.includes('--behind');

const secret = () => randomBytes(32).toString('base64');
const backendSecret = secret();
const clientSecret = secret();
const gateway = 'http://localhost:4200';
const application = 'http://localhost:5173';

/** What the application needs to know; in production your deployment sets it. */
const mode = behind
	? { PERENNIAL_ISSUER: gateway, PERENNIAL_AUDIENCE: 'http://127.0.0.1:5173' }
	: { PERENNIAL_GATEWAY: 'http://127.0.0.1:4200', AUTH_BACKEND_SECRET: backendSecret };

const children = [];

function start(command, parameters, env) {
	const child = spawn(command, parameters, { cwd: here, stdio: 'inherit', env: { ...process.env, ...env } });
	child.once('error', (error) => end(`${command}: ${error.message}. Build it with \`cargo build -p perennial-cli\`, or say where it is in PERENNIAL_BIN.`));
	child.once('exit', () => end());
	children.push(child);
}

let ending = false;
function end(reason) {
	if (ending) return;
	ending = true;
	if (reason !== undefined) console.error(reason);
	for (const child of children) child.kill('SIGTERM');
	process.exitCode = reason === undefined ? 0 : 1;
}

process.on('SIGINT', () => end());
process.on('SIGTERM', () => end());

const callbacks = ['auth0', 'custom'].flatMap((id) => ['--redirect-uri', `http://localhost:4200/auth/callback/${id}`]);
start(perennial, ['provider', '--listen', '127.0.0.1:4201', '--access-token-lifetime', '30s', ...callbacks], {
	PERENNIAL_PROVIDER_CLIENT_SECRET: clientSecret
});
start(perennial, ['serve', '--config', behind ? 'perennial.behind.toml' : 'perennial.toml', '--log', 'warn'], {
	AUTH_SECRET: secret(),
	CLIENT_SECRET: clientSecret,
	...(behind ? {} : { AUTH_BACKEND_SECRET: backendSecret })
});
start(process.execPath, [path.join(here, '../../node_modules/vite/bin/vite.js'), 'dev', '--host', behind ? '127.0.0.1' : 'localhost'], {
	UPSTREAM_API: 'http://127.0.0.1:4201/api',
	...mode
});
console.log(`\nOpen ${behind ? gateway : application} (the gateway is ${behind ? 'in front of' : 'behind'} the application)\n`);
