// What is published: all that is needed, nothing else, and types that every kind of application resolves.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = path.join(root, '../../node_modules');

/** Runs one of the workspace's programs with this Node; its standard output. */
function run(script, parameters, { cwd = root } = {}) {
	return new Promise((resolve, reject) => {
		execFile(process.execPath, [path.join(modules, script), ...parameters], { cwd, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
			if (error) reject(new Error(`${script} failed:\n${stdout}${stderr}`));
			else resolve(stdout);
		});
	});
}

const npm = (parameters) =>
	new Promise((resolve, reject) => {
		execFile('npm', parameters, { cwd: root, maxBuffer: 16 << 20 }, (error, stdout, stderr) => (error ? reject(new Error(stderr)) : resolve(stdout)));
	});

test('the package holds what is built, licences and a README, and nothing else', async () => {
	const [{ files }] = JSON.parse(await npm(['pack', '--dry-run', '--json']));
	const paths = files.map((file) => file.path);
	for (const needed of ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts', 'dist/components/RefreshTokenButton.svelte']) {
		assert.ok(paths.includes(needed), needed);
	}
	const odd = paths.filter((one) => !/^(dist\/[\w./-]+\.(js|d\.ts|svelte)|LICENSE-\w+|README\.md|package\.json)$/.test(one) || /test|\.env|secret/.test(one));
	assert.deepEqual(odd, []);
});

test('it depends on nothing at run time but its peers, and is published with provenance', async () => {
	const manifest = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
	assert.equal(manifest.dependencies, undefined);
	assert.deepEqual(Object.keys(manifest.peerDependencies).sort(), ['@sveltejs/kit', 'svelte']);
	assert.deepEqual(manifest.publishConfig, { access: 'public', provenance: true });
	assert.match(manifest.repository.url, /^git\+https:/);
});

test('publint finds nothing', async () => {
	assert.match(await run('publint/src/cli.js', ['--strict', '--pack', 'npm']), /All good/);
});

test('its types are resolved as its code is', async (t) => {
	const folder = await mkdtemp(path.join(tmpdir(), 'perennial-pack-'));
	t.after(() => rm(folder, { recursive: true, force: true }));
	const [{ filename }] = JSON.parse(await npm(['pack', '--json', '--pack-destination', folder]));
	// Svelte's components are for bundlers; no resolution of Node's knows them.
	await run('@arethetypeswrong/cli/dist/index.js', [path.join(folder, filename), '--profile', 'esm-only', '--exclude-entrypoints', './components']);
});

for (const [resolution, module, files] of [
	['bundler', 'esnext', ['consumer.ts', 'components.ts']],
	['node16', 'node16', ['consumer.ts']]
]) {
	test(`an application compiles against it with moduleResolution ${resolution}`, async () => {
		const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', module, '--moduleResolution', resolution];
		await run('typescript/bin/tsc', ['--ignoreConfig', ...options, '--lib', 'es2023,dom,dom.iterable', '--types', 'node', ...files.map((file) => `tests/types/${file}`)]);
	});
}

test('the sources compile without a complaint', async () => {
	assert.match(await run('svelte-check/bin/svelte-check', ['--tsconfig', 'tsconfig.json', '--fail-on-warnings']), /0 errors/);
});
