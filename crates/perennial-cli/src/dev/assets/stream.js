// Server-sent events, with a word on the page about whether they flow. A snapshot comes first after every reconnect.

import { setClock } from './clock.js';

const connection = document.getElementById('connection');
const AGAIN_AFTER_MS = 400;

export function connect(url, shows) {
  const source = new EventSource(url);
  for (const [name, show] of Object.entries(shows)) {
    source.addEventListener(name, (event) => show(JSON.parse(event.data)));
  }
  source.addEventListener('snapshot', (event) => {
    setClock(JSON.parse(event.data).now);
    say('live');
  });
  source.addEventListener('error', () => {
    say('lost');
    // The browser gives up for good when the answer is not an event stream, as while a gateway starts.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_AFTER_MS, url, shows);
  });
}

function say(state) {
  if (connection.dataset.state !== state) connection.dataset.state = state;
}
