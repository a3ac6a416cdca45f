// What the other side saw: how redemptions ended, and the family of refresh tokens as a chain.

import { fill, reconcile } from './bind.js';

const outcomes = document.getElementById('outcomes');
const family = document.getElementById('family');
const chain = document.getElementById('chain');
const hidden = document.getElementById('chain-hidden');

export function showProvider(provider) {
  reconcile(outcomes, 'outcome-template', provider.outcomes);
  fill(family, { state: provider.family.state, words: provider.family.words });
  hidden.textContent = provider.family.hidden;
  reconcile(chain, 'link-template', provider.family.links);
}
