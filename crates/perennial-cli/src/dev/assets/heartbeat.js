// An ordinary request of an app, once a second while the page is seen. It is what sets off renewals ahead of time.

import { isOver } from './session.js';

const good = document.getElementById('beats-good');
const bad = document.getElementById('beats-bad');
const EVERY_MS = 1000;
// Held back by an experiment that waits for the access token to run out.
const HELD = 204;
const NOT_SIGNED_IN = 401;

export function startHeartbeat(url) {
  let answered = 0;
  let failed = 0;
  const timer = setInterval(async () => {
    if (document.hidden) return;
    const status = await beat(url);
    if (status === NOT_SIGNED_IN && isOver()) clearInterval(timer);
    if (status === undefined || status === HELD || isOver()) return;
    if (status === 200) answered += 1;
    else failed += 1;
    good.textContent = answered;
    bad.textContent = failed;
  }, EVERY_MS);
}

// The status, or nothing while the gateway is away, which the stream tells.
async function beat(url) {
  try {
    const answer = await fetch(url, { headers: { accept: 'application/json' }, cache: 'no-store' });
    return answer.status;
  } catch {
    return undefined;
  }
}
