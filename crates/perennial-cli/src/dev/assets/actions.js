// The experiments: a button starts one, the stream tells how it stands, a second button stops it. One runs at a time.

import { announce } from './announce.js';

const OWN = { 'x-perennial-demo': '1' };
const items = new Map([...document.querySelectorAll('.experiment')].map((item) => [item.dataset.name, item]));

export function startActions() {
  for (const button of document.querySelectorAll('[data-action]')) {
    button.disabled = false;
    button.addEventListener('click', () => ask('POST', button.dataset.action));
  }
  for (const button of document.querySelectorAll('[data-stop]')) {
    button.addEventListener('click', () => ask('DELETE', button.dataset.stop));
  }
  for (const form of document.querySelectorAll('[data-refresh]')) {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      refresh();
    });
  }
}

export function showAction(action) {
  const item = items.get(action.name);
  if (!item) return;
  const ended = item.dataset.state === 'running' && action.state !== 'running';
  item.dataset.state = action.state;
  item.querySelector('.result-text').textContent = action.text;
  const progress = item.querySelector('.result-progress');
  if (action.percent === null) progress.removeAttribute('value');
  else progress.value = action.percent;
  if (ended) announce(action.text);
  standBy();
}

// While one runs the others stay in reach of the keyboard and say that they are not available.
function standBy() {
  const busy = [...items.values()].some(({ dataset }) => dataset.state === 'running');
  for (const button of document.querySelectorAll('[data-action]')) button.setAttribute('aria-disabled', busy);
}

async function ask(method, name) {
  try {
    const answer = await fetch(`/demo/api/actions/${name}`, { method, headers: OWN });
    if (!answer.ok) showAction({ name, state: 'failed', text: (await answer.json()).message, percent: 0 });
  } catch (error) {
    showAction({ name, state: 'failed', text: error.message, percent: 0 });
  }
}

// The result comes by the stream like every other renewal; only a failure is told from here.
async function refresh() {
  try {
    const answer = await fetch(document.body.dataset.renewWire, {
      method: 'POST',
      headers: { accept: 'application/json' },
    });
    if (!answer.ok) {
      const { message } = await answer.json().catch(() => ({}));
      showAction({ name: 'refresh', state: 'failed', text: message ?? `${answer.status} ${answer.statusText}`, percent: 0 });
    }
  } catch (error) {
    showAction({ name: 'refresh', state: 'failed', text: error.message, percent: 0 });
  }
}
