// Fills markup that the server wrote: `data-text`, `data-time` and `data-set` name the values.

import { timeOfDay } from './clock.js';

const SLOTS = '[data-text],[data-time],[data-set]';

export function fill(root, values) {
  const slots = [...root.querySelectorAll(SLOTS)];
  if (root.matches(SLOTS)) slots.push(root);
  for (const slot of slots) {
    const { text, time, set } = slot.dataset;
    if (text && values[text] !== undefined) write(slot, values[text]);
    if (time && values[time] !== undefined) {
      slot.dataset.ms = values[time];
      write(slot, timeOfDay(values[time]));
    }
    for (const pair of set ? set.split(' ') : []) {
      const [attribute, key] = pair.split('=');
      if (values[key] !== undefined) slot.setAttribute(attribute, values[key]);
    }
  }
  return root;
}

export function make(templateId, values) {
  const copy = document.getElementById(templateId).content.firstElementChild.cloneNode(true);
  return fill(copy, values);
}

// Brings the children of `parent` into line with `list`, touching only what changed.
export function reconcile(parent, templateId, list) {
  const old = new Map([...parent.querySelectorAll(':scope > [data-key]')].map((node) => [node.dataset.key, node]));
  for (const values of list) {
    const node = old.get(values.key);
    if (node) {
      fill(node, values);
      old.delete(values.key);
    } else {
      parent.append(make(templateId, values));
    }
  }
  for (const node of old.values()) node.remove();
}

function write(node, value) {
  const text = String(value);
  if (node.textContent !== text) node.textContent = text;
}
