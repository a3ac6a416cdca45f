// However many tabs wake up, one of them asks.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Lookout } from '../dist/client/lookout.js';

/** Tabs of one browser: a clock, a lock and a channel between them. */
function browser({ ask = async () => ({ user: { name: 'Alice' }, expires: '' }), late = false } = {}) {
	const world = { now: 0, asked: 0, tabs: [] };
	let free = Promise.resolve();
	let held = 0;
	const around = {
		now: () => world.now,
		async ask() {
			world.asked += 1;
			await new Promise(setImmediate);
			return ask();
		},
		announce({ at }) {
			const tell = () => world.tabs.forEach((tab) => tab.heard(at));
			if (late) setImmediate(() => setImmediate(tell));
			else tell();
		},
		moment: async () => {
			for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
		},
		alone(work) {
			const waited = held > 0;
			held += 1;
			const run = free.then(() => work(waited)).finally(() => (held -= 1));
			free = run.catch(() => {});
			return run;
		}
	};
	world.open = () => {
		const tab = new Lookout(around, world.now);
		world.tabs.push(tab);
		return tab;
	};
	return world;
}

for (const late of [false, true]) {
	test(`ten tabs wake up at once${late ? ', and news is late' : ''}`, async () => {
		const world = browser({ late });
		const tabs = Array.from({ length: 10 }, world.open);
		world.now = 60_000;
		await Promise.all(tabs.map((tab) => tab.look(5_000)));
		assert.equal(world.asked, 1);
	});
}

test('what is known is not asked again for a while, and then it is', async () => {
	const world = browser();
	const tab = world.open();
	world.now = 4_999;
	await tab.look(5_000);
	assert.equal(world.asked, 0);
	world.now = 5_000;
	await tab.look(5_000);
	await tab.look(5_000);
	assert.equal(world.asked, 1);
});

test('a demand asks although something is known, and several at once are one', async () => {
	const world = browser();
	const tab = world.open();
	world.now = 1;
	await Promise.all([tab.look(0), tab.look(0), tab.look(0)]);
	assert.equal(world.asked, 1);
});

test('older news does not replace newer', () => {
	const world = browser();
	const tab = world.open();
	assert.equal(tab.heard(10), true);
	assert.equal(tab.heard(9), false);
	assert.equal(tab.heard(10), true);
});

test('a failure is told, and the next one may ask', async () => {
	let fails = true;
	const world = browser({
		ask: async () => {
			if (fails) throw new Error('offline');
			return null;
		}
	});
	const tab = world.open();
	world.now = 60_000;
	await assert.rejects(tab.look(5_000), /offline/);
	fails = false;
	await tab.look(5_000);
	assert.equal(world.asked, 2);
});
