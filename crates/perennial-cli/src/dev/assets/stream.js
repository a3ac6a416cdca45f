// Server-sent events, with a word on the page about whether they flow. A snapshot comes first after every reconnect.

import { setClock } from './clock.js';

const connection = document.getElementById('connection');
const [AGAIN_AFTER_MS, AGAIN_AFTER_MOST_MS] = [300, 5000];

export function connect(url, shows, pause = AGAIN_AFTER_MS) {
  const source = new EventSource(url);
  let next = Math.min(pause * 2, AGAIN_AFTER_MOST_MS);
  for (const [name, show] of Object.entries(shows)) {
    source.addEventListener(name, (event) => show(JSON.parse(event.data)));
  }
  source.addEventListener('snapshot', (event) => {
    setClock(JSON.parse(event.data).now);
    next = AGAIN_AFTER_MS;
    say('live');
  });
  source.addEventListener('error', () => {
    say('lost');
    // The browser gives up for good when the answer is not an event stream, as while a gateway starts.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, pause, url, shows, next);
  });
}

function say(state) {
  if (connection.dataset.state !== state) connection.dataset.state = state;
}
