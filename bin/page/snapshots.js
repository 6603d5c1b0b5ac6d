// Snapshots: which there are, what is in them, what differs, and a way back for each file.

import { command } from './api.js';
import { el, onActions, show } from './dom.js';
import { comparison } from './differences.js';
import { folderView, restoreButton } from './folder.js';
import { icon } from './icons.js';
import { searchView } from './search.js';
import { bytes, instant, number } from './quantities.js';
import { Question } from './question.js';
import { columns, damaged, refused, waiting } from './answers.js';
import { restore } from './restore.js';
import { go, hashOf } from './routes.js';
import { current, repaint } from './store.js';

export const SNAPSHOTS = {
  title: 'Snapshots',
  enter,
  sees: (state) => [state.setup, state.lastEnded, state.loads],
  show: showSnapshots,
};

/** Snapshots that are asked for at once. */
const PAGE = 50;
const PAGES_MAX = 1000;

const list = new Question(repaint);
/** How many are shown, and of which repository. */
let shown = { repository: null, limit: PAGE };
/** The two that are compared, in the order in which they were chosen. */
let chosen = [];

function enter(root) {
  chosen = [];
  list.forget();
  onActions(root, {
    more: () => {
      shown = { ...shown, limit: Math.min(shown.limit + PAGE, PAGES_MAX) };
      repaint();
    },
    compare: (button) =>
      go(
        hashOf('snapshots', [button.dataset.repository], { older: button.dataset.older, newer: button.dataset.newer }),
      ),
    restore: (button) => restore(button.dataset, current().setup),
    'more-entries': (button) => folderView.more(button.dataset.after),
    again: () => {
      list.forget();
      folderView.forget();
      repaint();
    },
  });
  onActions(
    root,
    {
      repository: (select) => go(hashOf('snapshots', [select.value])),
      choose: (box) => {
        chosen = box.checked ? [...chosen, box.value].slice(-2) : chosen.filter((id) => id !== box.value);
        repaint();
      },
    },
    'change',
  );
  onActions(
    root,
    {
      find: (form) => {
        const pattern = form.elements.pattern.value.trim();
        go(hashOf('snapshots', [form.dataset.repository], { find: pattern }));
      },
    },
    'submit',
  );
}

function showSnapshots(root, route, state) {
  const { repositories } = state.setup;
  if (!repositories.length) return show(root, el('h1', {}, 'Snapshots'), noRepository());
  const [wanted, snapshot] = route.parts;
  const repository = repositories.find(({ name }) => name === wanted)?.name ?? repositories[0].name;
  const { query } = route;
  show(
    root,
    el('h1', {}, 'Snapshots'),
    toolbar(repositories, repository, query.get('find') ?? ''),
    snapshot
      ? folderView.show(repository, snapshot, query.get('path') ?? '/', state)
      : query.get('find')
        ? searchView(repository, query.get('find'), state)
        : query.get('older')
          ? comparison(repository, query.get('older'), query.get('newer') ?? 'latest', state)
          : snapshotList(repository, state),
  );
}

function noRepository() {
  return el(
    'div',
    { class: 'empty' },
    icon('snapshots', 'large'),
    el('p', {}, el('strong', {}, 'No repository is set up.')),
    el('p', {}, 'Add one to the configuration file, under ', el('code', {}, '[repositories.NAME]'), '.'),
  );
}

function toolbar(repositories, repository, pattern) {
  return el(
    'div',
    { class: 'toolbar', 'data-key': 'toolbar' },
    el(
      'div',
      { class: 'field inline' },
      el('label', { for: 'repository' }, 'Repository'),
      el(
        'select',
        { id: 'repository', 'data-on-change': 'repository', 'data-value': repository },
        repositories.map(({ name, location }) => el('option', { value: name }, `${name} (${location})`)),
      ),
    ),
    el(
      'form',
      { class: 'field inline find', role: 'search', 'data-on-submit': 'find', 'data-repository': repository },
      el('label', { for: 'pattern' }, 'Find'),
      el('input', {
        id: 'pattern',
        name: 'pattern',
        type: 'search',
        value: pattern,
        placeholder: '*.odt',
        spellcheck: 'false',
      }),
      el('button', { type: 'submit' }, 'Find'),
    ),
  );
}

function snapshotList(repository, state) {
  if (shown.repository !== repository) {
    shown = { repository, limit: PAGE };
    chosen = [];
  }
  const { limit } = shown;
  list.ask(
    JSON.stringify([repository, limit, state.lastEnded, state.loads]),
    (signal) => command('get-snapshots', { repository, after: null, limit }, signal),
    repository,
  );
  if (list.refusal) return refused(list.refusal);
  if (!list.answer) return waiting();
  const { snapshots, more, unreadable } = list.answer;
  if (!snapshots.length) {
    return el(
      'div',
      { class: 'empty' },
      icon('snapshots', 'large'),
      el('p', {}, el('strong', {}, 'No snapshot yet.')),
      el(
        'p',
        {},
        'The first backup to ',
        el('code', {}, repository),
        ' makes one: ',
        el('a', { href: '#/items' }, 'run an item now'),
        '.',
      ),
    );
  }
  return [
    compareBar(repository, snapshots),
    unreadable > 0 && el('p', { 'data-key': 'damaged' }, damaged(unreadable)),
    el(
      'table',
      { class: 'snapshots', 'data-key': 'list' },
      el('caption', { class: 'unseen' }, `Snapshots of ${repository}, the newest first`),
      columns('Compare', 'Made', 'Paths', 'Files', 'Size', 'Added', 'Actions'),
      el(
        'tbody',
        {},
        snapshots.map((each) => snapshotRow(each, repository, state)),
      ),
    ),
    more &&
      limit < PAGES_MAX &&
      el('button', { type: 'button', class: 'more', 'data-action': 'more', disabled: list.isAsked }, 'Show more'),
  ];
}

function compareBar(repository, snapshots) {
  const two = snapshots.filter(({ id }) => chosen.includes(id));
  const [newer, older] = two;
  return el(
    'p',
    { class: 'compare-bar', 'data-key': 'compare' },
    el('span', { class: 'quiet' }, two.length === 2 ? 'Two are chosen.' : 'Choose two to compare them.'),
    el(
      'button',
      {
        type: 'button',
        'data-action': 'compare',
        disabled: two.length !== 2,
        'data-repository': repository,
        'data-older': older?.id,
        'data-newer': newer?.id,
      },
      'Compare',
    ),
  );
}

function snapshotRow(snapshot, repository, state) {
  const { id, time, host, paths, tags } = snapshot;
  const figure = (value, words) => (value === null ? el('span', { class: 'quiet' }, '–') : words(value));
  const made = instant(time, state.setup.time_zone, 'dated');
  return el(
    'tr',
    { 'data-key': id, 'data-snapshot': id },
    el(
      'td',
      { class: 'pick' },
      el('input', {
        type: 'checkbox',
        value: id,
        'data-checked': String(chosen.includes(id)),
        'data-on-change': 'choose',
        'aria-label': `Compare the snapshot of ${made}`,
      }),
    ),
    el(
      'th',
      { scope: 'row' },
      el('a', { href: hashOf('snapshots', [repository, id]) }, made),
      el('p', { class: 'quiet' }, el('code', {}, id.slice(0, 8)), ` · ${host}`),
    ),
    el(
      'td',
      { 'data-label': 'Paths' },
      paths.map((path) => el('p', { class: 'path' }, path)),
      tags.map((tag) => el('span', { class: 'chip' }, tag)),
    ),
    el('td', { 'data-label': 'Files', class: 'figure-cell' }, figure(snapshot.files, number)),
    el('td', { 'data-label': 'Size', class: 'figure-cell' }, figure(snapshot.bytes, bytes)),
    el('td', { 'data-label': 'Added', class: 'figure-cell' }, figure(snapshot.bytes_stored, bytes)),
    el(
      'td',
      { class: 'actions' },
      el(
        'div',
        { class: 'action-row' },
        el(
          'a',
          {
            class: 'button',
            href: hashOf('snapshots', [repository, id]),
            'aria-label': `Browse the snapshot of ${made}`,
          },
          'Browse',
        ),
        restoreButton(repository, id, '', `the snapshot of ${made}`, 'Restore'),
      ),
    ),
  );
}
