// The person, the clocks, and the ring that empties.

import { fill } from './bind.js';
import { duration, now } from './clock.js';

const section = document.getElementById('session');
const ring = document.getElementById('token-ring');
const left = document.getElementById('ring-left');
const renewalWindow = document.getElementById('ring-window');
const tokenLeft = document.getElementById('token-left');
const tokenPrint = document.getElementById('token-print');
const generation = document.getElementById('generation');
const ended = document.getElementById('ended');
const endedWhy = document.getElementById('ended-why');

let session;

export const isOver = () => Boolean(session?.ended);

export function showSession(next) {
  const renewed = session && next.generation > session.generation;
  session = next;
  fill(section, session);
  tokenPrint.textContent = session.token;
  generation.textContent = session.generation;
  endedWhy.textContent = session.ended ?? '';
  ended.hidden = !session.ended;
  if (renewed) celebrate();
  tickSession();
}

// The sweep and the tick are style sheets' business; here they are only set off again.
function celebrate() {
  for (const node of [ring, generation]) {
    node.classList.remove('renewed');
    node.getBoundingClientRect();
    node.classList.add('renewed');
  }
}

export function tickSession() {
  if (!session) return;
  const life = Math.max(1, session.expires_at - session.issued_at);
  const rest = session.expires_at - now();
  left.setAttribute('stroke-dasharray', `${percent(rest / life)} 100`);
  renewalWindow.setAttribute('stroke-dasharray', `${percent((session.expires_at - session.due_at) / life)} 100`);
  ring.dataset.state = stateAt(rest);
  tokenLeft.textContent = duration(rest);
  for (const node of section.querySelectorAll('[data-left]')) node.textContent = duration(session[node.dataset.left] - now());
  for (const node of section.querySelectorAll('[data-ago]')) node.textContent = duration(now() - session[node.dataset.ago]);
}

function stateAt(rest) {
  if (rest <= 0) return session.ended ? 'ended' : 'expired';
  return now() >= session.due_at ? 'due' : 'fresh';
}

const percent = (share) => Math.min(100, Math.max(0, share * 100)).toFixed(2);
