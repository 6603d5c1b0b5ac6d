// One folder of a snapshot, with the way to it.

import { fileAddress, command } from './api.js';
import { el } from './dom.js';
import { icon } from './icons.js';
import { bytes, instant } from './quantities.js';
import { Question } from './question.js';
import { hashOf } from './routes.js';
import { repaint } from './store.js';
import { columns, listed, refused, waiting } from './answers.js';

/** Entries that are asked for at once. */
const PAGE = 200;

const question = new Question(repaint);
/** What was asked for after the first page, of one folder. */
let pages = { key: null, entries: [], after: null };

export const folderView = {
  /** Asks for the entries after this one, too. */
  more(after) {
    pages = { ...pages, entries: [...pages.entries, ...question.answer.entries], after };
    repaint();
  },

  forget() {
    question.forget();
  },

  /** The folder at `path` of a snapshot. */
  show(repository, snapshot, path, state) {
    const key = JSON.stringify([repository, snapshot, path]);
    if (pages.key !== key) pages = { key, entries: [], after: null };
    const { after } = pages;
    question.ask(
      JSON.stringify([key, after, state.loads]),
      (signal) => command('get-folder', { repository, snapshot, path, after, limit: PAGE }, signal),
      key,
    );
    return [
      breadcrumb(repository, snapshot, path),
      question.refusal
        ? refused(question.refusal)
        : question.answer
          ? entries(repository, snapshot, path, state)
          : waiting(),
    ];
  },
};

function breadcrumb(repository, snapshot, path) {
  const names = path.split('/').filter(Boolean);
  const steps = names.map((name, index) => [name, `/${names.slice(0, index + 1).join('/')}`]);
  const at = (to) => hashOf('snapshots', [repository, snapshot], { path: to });
  return el(
    'nav',
    { class: 'breadcrumb', 'aria-label': 'Folder', 'data-key': 'breadcrumb' },
    el(
      'ol',
      {},
      el('li', {}, el('a', { href: hashOf('snapshots', [repository]) }, 'All snapshots')),
      el('li', {}, el('a', { href: at('/'), 'aria-current': names.length ? null : 'page' }, snapshot.slice(0, 8))),
      steps.map(([name, to], index) =>
        el('li', {}, el('a', { href: at(to), 'aria-current': index === steps.length - 1 ? 'page' : null }, name)),
      ),
    ),
  );
}

function entries(repository, snapshot, path, state) {
  const all = [
    ...pages.entries,
    ...(pages.entries.includes(question.answer.entries[0]) ? [] : question.answer.entries),
  ];
  const { more, next } = question.answer;
  const zone = state.setup.time_zone;
  const whole = path === '/' || path === '' ? '' : path;
  return el(
    'section',
    { 'data-key': 'folder', class: 'folder' },
    el(
      'div',
      { class: 'section-head' },
      listed(all.length, question.answer, 'entry', 'entries'),
      restoreButton(
        repository,
        snapshot,
        whole,
        whole ? path : 'the whole snapshot',
        whole ? 'Restore this folder' : 'Restore all',
      ),
    ),
    all.length === 0
      ? el('p', { class: 'empty' }, 'This folder is empty.')
      : el(
          'table',
          { class: 'entries' },
          el('caption', { class: 'unseen' }, `Entries of ${path}`),
          columns('Name', 'Size', 'Changed', 'Mode', 'Owner', 'Actions'),
          el(
            'tbody',
            {},
            all.map((entry) => entryRow(entry, repository, snapshot, zone)),
          ),
        ),
    more &&
      el(
        'button',
        {
          type: 'button',
          class: 'more',
          'data-action': 'more-entries',
          'data-after': next,
          disabled: question.isAsked,
        },
        'Show more',
      ),
  );
}

function entryRow(entry, repository, snapshot, zone) {
  const { name, path, kind } = entry;
  const words =
    kind === 'folder'
      ? el('a', { href: hashOf('snapshots', [repository, snapshot], { path }) }, name)
      : kind === 'file'
        ? el('a', { href: fileAddress(repository, snapshot, path), download: name, title: 'Download' }, name)
        : name;
  return el(
    'tr',
    { 'data-key': path, 'data-entry': path },
    el(
      'th',
      { scope: 'row' },
      el('span', { class: 'entry-name' }, icon(kind), words),
      entry.link_target !== null && el('span', { class: 'quiet' }, ` → ${entry.link_target}`),
    ),
    entrySize(entry),
    el('td', { 'data-label': 'Changed' }, instant(entry.modified, zone, 'dated')),
    el('td', { 'data-label': 'Mode' }, el('code', {}, modeWords(entry.mode))),
    el('td', { 'data-label': 'Owner' }, `${entry.user}:${entry.group}`),
    entryActions(entry, repository, snapshot),
  );
}

/** The cell of an entry's size. */
export function entrySize({ kind, bytes: size }) {
  return el(
    'td',
    { 'data-label': 'Size', class: 'figure-cell' },
    kind === 'file' ? bytes(size) : el('span', { class: 'quiet' }, '–'),
  );
}

/** The cell of what can be done with an entry. */
export function entryActions({ name, path, kind }, repository, snapshot) {
  const address = fileAddress(repository, snapshot, path);
  return el(
    'td',
    { class: 'actions' },
    el(
      'div',
      { class: 'action-row' },
      kind === 'file' &&
        el('a', { class: 'button', href: address, download: name, 'aria-label': `Download ${name}` }, 'Download'),
      restoreButton(repository, snapshot, path, name, 'Restore'),
    ),
  );
}

/** `rwxr-x---`, as `ls` writes it. */
export function modeWords(mode) {
  const letters = 'rwxrwxrwx';
  const bits = [...letters].map((letter, index) => (mode & (1 << (8 - index)) ? letter : '-'));
  const special = [
    [0o4000, 2, 's'],
    [0o2000, 5, 's'],
    [0o1000, 8, 't'],
  ];
  for (const [bit, index, letter] of special) {
    if (mode & bit) bits[index] = bits[index] === 'x' ? letter : letter.toUpperCase();
  }
  return bits.join('');
}

/** A button that opens the window of a restore. */
export function restoreButton(repository, snapshot, path, title, words) {
  return el(
    'button',
    {
      type: 'button',
      'data-action': 'restore',
      'data-repository': repository,
      'data-snapshot': snapshot,
      'data-path': path,
      'data-title': title,
      'aria-label': words === 'Restore' ? `Restore ${title}` : null,
    },
    words,
  );
}
