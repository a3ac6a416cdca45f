// Builds this application against packages/sveltekit/dist, and checks its types. The package is copied, not linked: what it imports must be found
// here, and not among the modules of the repository, which are those of Kit 3.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const ours = path.join(here, '../../packages/sveltekit');
const copy = path.join(here, 'node_modules/perennial-sveltekit');

rmSync(copy, { recursive: true, force: true });
mkdirSync(copy, { recursive: true });
for (const one of ['dist', 'package.json']) cpSync(path.join(ours, one), path.join(copy, one), { recursive: true });

for (const [script, ...parameters] of [
	['vite/bin/vite.js', 'build'],
	['svelte-check/bin/svelte-check', '--tsconfig', 'tsconfig.json', '--fail-on-warnings']
]) {
	const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(here, 'node_modules', script), ...parameters], { cwd: here, encoding: 'utf8' });
	if (status === 0) continue;
	console.error(`${script} failed:\n${stdout}${stderr}`);
	process.exit(1);
}
