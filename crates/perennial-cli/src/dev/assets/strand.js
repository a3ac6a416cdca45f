// The strand of generations. One bead has the tab stop; arrow keys move it, hover and focus tell its story.

import { fill, make } from './bind.js';

const strand = document.getElementById('strand');
const scroller = document.getElementById('strand-scroll');
const story = document.getElementById('story');
const BEADS = 200;

const beads = new Map();

export function showBeads(list) {
  beads.clear();
  strand.replaceChildren();
  for (const bead of list) place(bead);
  rest();
  toTheEnd();
}

export function showBead(bead) {
  const following = atTheEnd();
  place(bead);
  if (!strand.contains(document.activeElement) && !strand.matches(':hover')) rest();
  if (following) toTheEnd();
}

export function startStrand() {
  strand.addEventListener('focusin', ({ target }) => tell(target.closest('.bead-item')));
  strand.addEventListener('pointerover', ({ target }) => tell(target.closest('.bead-item')));
  strand.addEventListener('pointerleave', () => strand.contains(document.activeElement) || rest());
  strand.addEventListener('focusout', rest);
  strand.addEventListener('keydown', move);
  toTheEnd();
}

function place(bead) {
  bead.icon = `#icon-${bead.kind}`;
  const old = beads.has(bead.key) && strand.querySelector(`[data-key="${bead.key}"]`);
  beads.set(bead.key, bead);
  if (old) {
    fill(old, bead);
    return;
  }
  strand.append(make('bead-template', bead));
  while (strand.children.length > BEADS) {
    beads.delete(strand.firstElementChild.dataset.key);
    strand.firstElementChild.remove();
  }
}

// With nobody pointing at one, the newest bead tells its story.
function rest() {
  const last = strand.lastElementChild;
  if (last) tell(last);
}

function tell(item) {
  const bead = item && beads.get(item.dataset.key);
  if (!bead) return;
  for (const other of strand.querySelectorAll('.bead')) {
    const told = other.parentElement === item;
    other.tabIndex = told ? 0 : -1;
    other.classList.toggle('told', told);
  }
  fill(story, bead);
}

function move(event) {
  const here = event.target.closest('.bead-item');
  const there = {
    ArrowLeft: here?.previousElementSibling,
    ArrowRight: here?.nextElementSibling,
    Home: strand.firstElementChild,
    End: strand.lastElementChild,
  }[event.key];
  if (!there) return;
  event.preventDefault();
  there.querySelector('.bead').focus();
}

const atTheEnd = () => scroller.scrollLeft + scroller.clientWidth > scroller.scrollWidth - 80;

function toTheEnd() {
  scroller.scrollLeft = scroller.scrollWidth;
}
