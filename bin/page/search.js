// Entries of all snapshots whose names match a pattern.

import { command } from './api.js';
import { columns, damaged, listed, refused, waiting } from './answers.js';
import { el } from './dom.js';
import { entryActions, entrySize } from './folder.js';
import { icon } from './icons.js';
import { instant } from './quantities.js';
import { Question } from './question.js';
import { hashOf } from './routes.js';
import { repaint } from './store.js';

const MATCHES_MAX = 200;
const question = new Question(repaint);

/** What is found. */
export function searchView(repository, pattern, state) {
  const fields = { repository, snapshots: [], pattern, limit: MATCHES_MAX };
  question.ask(
    JSON.stringify([repository, pattern, state.lastEnded, state.loads]),
    (signal) => command('get-matching-entries', fields, signal),
    JSON.stringify([repository, pattern]),
  );
  return [
    el('p', { 'data-key': 'back' }, el('a', { href: hashOf('snapshots', [repository]) }, 'All snapshots')),
    question.refusal ? refused(question.refusal) : question.answer ? found(repository, pattern, state) : waiting(),
  ];
}

function found(repository, pattern, state) {
  const { matches, unreadable } = question.answer;
  if (!matches.length)
    return el(
      'p',
      { class: 'empty' },
      el('span', {}, 'Nothing matches ', el('code', {}, pattern), '.'),
      damaged(unreadable),
    );
  return el(
    'section',
    { 'data-key': 'found' },
    listed(matches.length, question.answer, 'match', 'matches'),
    el(
      'table',
      { class: 'entries matches' },
      el('caption', { class: 'unseen' }, `Entries that match ${pattern}`),
      columns('Path', 'Snapshot', 'Size', 'Actions'),
      el(
        'tbody',
        {},
        matches.map((match) => matchRow(match, repository, state.setup.time_zone)),
      ),
    ),
  );
}

function matchRow({ snapshot, time, entry }, repository, zone) {
  const { path, kind } = entry;
  const folder = kind === 'folder' ? path : path.slice(0, path.lastIndexOf('/')) || '/';
  return el(
    'tr',
    { 'data-key': `${snapshot}${path}` },
    el(
      'th',
      { scope: 'row' },
      el(
        'span',
        { class: 'entry-name' },
        icon(kind),
        el('a', { href: hashOf('snapshots', [repository, snapshot], { path: folder }) }, path),
      ),
    ),
    el(
      'td',
      { 'data-label': 'Snapshot' },
      instant(time, zone, 'dated'),
      ' ',
      el('code', { class: 'quiet' }, snapshot.slice(0, 8)),
    ),
    entrySize(entry),
    entryActions(entry, repository, snapshot),
  );
}
