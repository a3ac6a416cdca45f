// Tells screen readers what happened, politely: the newest sentence wins.

const announcer = document.getElementById('announcer');
let pending;

export function announce(sentence) {
  clearTimeout(pending);
  pending = setTimeout(() => (announcer.textContent = sentence), 150);
}
