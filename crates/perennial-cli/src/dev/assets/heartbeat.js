// An ordinary request of an app, once a second while the page is seen. It is what sets off renewals ahead of time.

import { signedIn } from './session.js';

const good = document.getElementById('beats-good');
const bad = document.getElementById('beats-bad');
const HELD = 204;

export function startHeartbeat(url) {
  let answered = 0;
  let failed = 0;
  setInterval(async () => {
    if (document.hidden || !signedIn()) return;
    try {
      const answer = await fetch(url, { headers: { accept: 'application/json' }, cache: 'no-store' });
      if (answer.status === HELD) return;
      if (answer.ok) answered += 1;
      else failed += 1;
    } catch {
      // The gateway is away; the stream says so.
    }
    good.textContent = answered;
    bad.textContent = failed;
  }, 1000);
}
