// The server's clock as the page knows it, and times in words.

let ahead = Number(document.body.dataset.now) - Date.now();

export const now = () => Date.now() + ahead;

export function setClock(serverNow) {
  ahead = serverNow - Date.now();
}

const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export const timeOfDay = (ms) => (ms ? TIME.format(ms) : '');

export function duration(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

// Ten times a second for a smooth ring; once a second for those who want less motion.
export function startClock(tick) {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  for (const node of document.querySelectorAll('time[data-ms]')) node.textContent = timeOfDay(Number(node.dataset.ms));
  setInterval(() => document.hidden || tick(), calm ? 1000 : 100);
}
