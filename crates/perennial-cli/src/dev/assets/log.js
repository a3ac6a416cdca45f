// What just happened: newest first, by kind, and to the clipboard as plain text.

import { make } from './bind.js';

const list = document.getElementById('lines');
const none = document.getElementById('lines-none');
const copyButton = document.getElementById('log-copy');
const LINES = 300;

let filter = '';

export function showLines(lines) {
  list.replaceChildren();
  lines.forEach(addLine);
}

export function addLine(line) {
  if (list.querySelector(`[data-id="${line.id}"]`)) return;
  const node = make('line-template', line);
  list.prepend(node);
  sift(node);
  while (list.children.length > LINES) list.lastElementChild.remove();
  count();
}

export function startLog() {
  for (const chip of document.querySelectorAll('[data-filter]')) {
    chip.addEventListener('click', () => choose(chip));
  }
  copyButton.addEventListener('click', copy);
  count();
}

function choose(chip) {
  filter = chip.dataset.filter;
  for (const other of document.querySelectorAll('[data-filter]')) other.setAttribute('aria-pressed', other === chip);
  [...list.children].forEach(sift);
  count();
}

function sift(node) {
  node.hidden = filter !== '' && node.dataset.kind !== filter;
}

function count() {
  none.hidden = [...list.children].some((node) => !node.hidden);
}

async function copy() {
  const shown = [...list.children].filter((node) => !node.hidden).reverse();
  const text = shown.map((node) => `${node.querySelector('time').textContent}  ${node.querySelector('.line-text').textContent}`);
  await navigator.clipboard.writeText(text.join('\n'));
  copyButton.classList.add('done');
  setTimeout(() => copyButton.classList.remove('done'), 1500);
}
