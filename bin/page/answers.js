// What stands around answers: that one is on its way, why there is none, how much of it is shown, and of what.

import { el, marked } from './dom.js';
import { icon } from './icons.js';
import { sentence } from './notices.js';
import { count } from './quantities.js';

/** What is shown while an answer is on its way. */
export function waiting() {
  return el('p', { class: 'empty', 'data-key': 'waiting' }, 'Reading the repository…');
}

/** What is shown instead of an answer. */
export function refused(refusal) {
  return el(
    'div',
    { class: 'refusal', 'data-key': 'refusal', role: 'alert' },
    icon('failed', 'is-failed'),
    el(
      'div',
      {},
      el('p', {}, marked(sentence(refusal.message))),
      refusal.hint && el('p', { class: 'quiet' }, marked(sentence(refusal.hint))),
      el('button', { type: 'button', 'data-action': 'again' }, 'Ask again'),
    ),
  );
}

/** How many are listed, whether that is all, and how much could not be read and is left out. */
export function listed(shown, { more, unreadable = 0 }, one, many = `${one}s`) {
  const words = count(shown, one, many);
  return el(
    'p',
    { class: 'quiet', role: 'status' },
    more ? `The first ${words}; there are more.` : `${words}.`,
    damaged(unreadable),
  );
}

/** What is said of damage, if there is any. */
export function damaged(unreadable) {
  return (
    unreadable > 0 &&
    el('span', { class: 'why' }, ` ${count(unreadable, 'more', 'more')} cannot be read: “keepwell check” says why.`)
  );
}

const FIGURES = new Set(['Size', 'Files', 'Added', 'Stored', 'Took', 'Before', 'After']);

/** The head of a table: figures and actions stand to the right. */
export function columns(...names) {
  const kind = (name) => (FIGURES.has(name) ? 'figure-cell' : name === 'Actions' ? 'actions' : null);
  return el(
    'thead',
    {},
    el(
      'tr',
      {},
      names.map((name) => el('th', { scope: 'col', class: kind(name) }, name)),
    ),
  );
}
