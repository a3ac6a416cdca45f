// `npm run dev`: the development provider, the gateway and Vite, and the end of all three with Ctrl-C.
// With `-- --behind` the gateway stands in front of the application instead of behind it.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const built = path.join(here, '../../target/debug/perennial');
const perennial = process.env.PERENNIAL_BIN ?? (existsSync(built) ? built : 'perennial');
const behind = process.argv.includes('--behind');

/** The ports that perennial.toml and vite.config.ts name, and those to use instead. */
const written = ['5173', '4200', '4201'];
const ports = process.env.PORTS?.split(',') ?? written;
const [applicationPort, gatewayPort, providerPort] = ports;

const secret = () => randomBytes(32).toString('base64');
const backendSecret = secret();
const clientSecret = secret();
/** Where browsers go. */
const url = `http://localhost:${behind ? gatewayPort : applicationPort}`;

/** What the application needs to know; in production your deployment sets it. */
const mode = behind
	? { PERENNIAL_ISSUER: url, PERENNIAL_AUDIENCE: `http://127.0.0.1:${applicationPort}` }
	: { PERENNIAL_GATEWAY: `http://127.0.0.1:${gatewayPort}`, AUTH_BACKEND_SECRET: backendSecret };

const folder = mkdtempSync(path.join(tmpdir(), 'perennial-example-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** The gateway's configuration, with the ports in use. */
function configuration() {
	const text = readFileSync(path.join(here, behind ? 'perennial.behind.toml' : 'perennial.toml'), 'utf8');
	const config = path.join(folder, 'perennial.toml');
	writeFileSync(config, text.replaceAll(/(?<=:)(?:5173|4200|4201)\b/g, (port) => ports[written.indexOf(port)]));
	return config;
}

const children = [];

/** `name` is for the line that says it has ended; without any of them the others are of no use. */
function start(name, command, parameters, env) {
	const child = spawn(command, parameters, { cwd: here, stdio: 'inherit', env: { ...process.env, ...env } });
	child.once('error', (error) => end(`${command}: ${error.message}. Build it with \`cargo build -p perennial-cli\`, or say where it is in PERENNIAL_BIN.`));
	child.once('exit', (code, signal) => end(`${name} has ended (${signal ?? code}), so the others end, too.`));
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

const callbacks = ['auth0', 'custom'].flatMap((id) => ['--redirect-uri', `${url}/auth/callback/${id}`]);
start('The provider', perennial, ['provider', '--listen', `127.0.0.1:${providerPort}`, '--access-token-lifetime', '30s', ...callbacks], {
	PERENNIAL_PROVIDER_CLIENT_SECRET: clientSecret
});
start('The gateway', perennial, ['serve', '--config', configuration(), '--log', 'warn'], {
	AUTH_SECRET: secret(),
	CLIENT_SECRET: clientSecret,
	...(behind ? {} : { AUTH_BACKEND_SECRET: backendSecret })
});
const vite = path.join(here, '../../node_modules/vite/bin/vite.js');
start('Vite', process.execPath, [vite, 'dev', '--host', behind ? '127.0.0.1' : 'localhost', '--port', applicationPort], {
	UPSTREAM_API: `http://127.0.0.1:${providerPort}/api`,
	...mode
});

// Not before all three are there, and below the address that Vite names, which with `--behind` is not the one to open.
while (!ending) {
	const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) }).catch(() => null);
	if (answer?.ok && !ending) {
		console.log(`\nOpen ${url} (the gateway is ${behind ? 'in front of' : 'behind'} the application)\n`);
		break;
	}
	await pause(200);
}
