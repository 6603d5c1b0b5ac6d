// What differs between two snapshots.

import { command } from './api.js';
import { columns, damaged, listed, refused, waiting } from './answers.js';
import { el } from './dom.js';
import { bytes, number } from './quantities.js';
import { Question } from './question.js';
import { hashOf } from './routes.js';
import { repaint } from './store.js';

const DIFFERENCES_MAX = 500;
const SIGNS = {
  added: ['+', 'Added', 'is-completed'],
  removed: ['−', 'Removed', 'is-failed'],
  content: ['M', 'Content', 'is-retrying'],
  type: ['T', 'Kind', 'is-retrying'],
  metadata: ['U', 'Metadata', 'is-queued'],
};
const question = new Question(repaint);

/** The two, side by side. */
export function comparison(repository, older, newer, state) {
  const fields = { repository, older, newer, limit: DIFFERENCES_MAX };
  question.ask(
    JSON.stringify([repository, older, newer, state.loads]),
    (signal) => command('get-differences', fields, signal),
    JSON.stringify([repository, older, newer]),
  );
  const to = (id) => el('a', { href: hashOf('snapshots', [repository, id]) }, el('code', {}, id.slice(0, 8)));
  return [
    el('p', { 'data-key': 'back' }, el('a', { href: hashOf('snapshots', [repository]) }, 'All snapshots')),
    el('h2', { 'data-key': 'what' }, 'From ', to(older), ' to ', to(newer)),
    question.refusal ? refused(question.refusal) : question.answer ? differences() : waiting(),
  ];
}

function differences() {
  const { differences: all, added, removed, changed, unreadable } = question.answer;
  if (!added && !removed && !changed) return el('p', { class: 'empty' }, 'Nothing differs.', damaged(unreadable));
  return el(
    'section',
    { 'data-key': 'differences' },
    el(
      'ul',
      { class: 'meta counts' },
      el('li', { class: 'is-completed' }, `${number(added)} added`),
      el('li', { class: 'is-failed' }, `${number(removed)} removed`),
      el('li', { class: 'is-retrying' }, `${number(changed)} changed`),
    ),
    listed(all.length, question.answer, 'difference'),
    el(
      'table',
      { class: 'differences' },
      el('caption', { class: 'unseen' }, 'What differs, by path'),
      columns('In what', 'Path', 'Before', 'After'),
      el('tbody', {}, all.map(row)),
    ),
  );
}

function row({ path, kind, bytes_before: before, bytes_after: after }) {
  const [sign, words, colour] = SIGNS[kind] ?? ['?', kind, ''];
  const size = (value) => (value === null ? el('span', { class: 'quiet' }, '–') : bytes(value));
  return el(
    'tr',
    { 'data-key': path, 'data-difference': kind },
    el(
      'td',
      { class: `difference ${colour}` },
      el('span', { class: 'difference-sign', 'aria-hidden': 'true' }, sign),
      words,
    ),
    el('th', { scope: 'row', class: 'path' }, path),
    el('td', { 'data-label': 'Before', class: 'figure-cell' }, size(before)),
    el('td', { 'data-label': 'After', class: 'figure-cell' }, size(after)),
  );
}
