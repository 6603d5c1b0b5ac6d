// The head of the page: where one can go, whether the line to the daemon holds, how many of what, and a stop for all.

import { command } from './api.js';
import { el, onActions, show } from './dom.js';
import { icon } from './icons.js';
import { notice, noticeRefusal } from './notices.js';
import { count } from './quantities.js';
import { reconnectNow } from './live.js';

const VIEWS = [
  ['tasks', 'Active tasks', 'Tasks'],
  ['items', 'Items', 'Items'],
  ['snapshots', 'Snapshots', 'Snapshots'],
  ['history', 'History', 'History'],
];

/** Listens to the head's buttons. */
export function startHeader(header, signOut) {
  const all = (name, words) => async () => {
    try {
      const { tasks } = await command(name);
      notice(words(count(tasks, 'task')), name === 'pause-all-backups' ? 'paused' : 'completed');
    } catch (refusal) {
      noticeRefusal(refusal);
    }
  };
  onActions(header, {
    'pause-all': all('pause-all-backups', (tasks) => `All backups are paused; ${tasks} stopped, and nothing starts.`),
    'resume-all': all('resume-all-backups', (tasks) => `Backups go on; ${tasks} resumed.`),
    reconnect: reconnectNow,
    'sign-out': signOut,
  });
}

/** Shows it. */
export function showHeader(header, state, route) {
  if (!state.isLoggedIn) {
    header.hidden = true;
    return;
  }
  header.hidden = false;
  show(
    header,
    el(
      'div',
      { class: 'header-row' },
      el(
        'a',
        { class: 'brand', href: '#/tasks' },
        el('img', { src: '/page/mark.svg', width: 28, height: 28, alt: '' }),
        el('span', {}, 'Keepwell'),
      ),
      el(
        'nav',
        { class: 'nav', 'aria-label': 'Views' },
        VIEWS.map((view) => link(view, route)),
      ),
      el(
        'div',
        { class: 'header-end' },
        connection(state.connection),
        pauseAll(state),
        el('button', { type: 'button', class: 'plain', 'data-action': 'sign-out' }, 'Sign out'),
      ),
    ),
    figures(state),
  );
}

function link([name, long, short], route) {
  const isHere = route.view === name;
  return el(
    'a',
    { href: `#/${name}`, 'aria-current': isHere ? 'page' : null, 'data-view': name },
    icon(name),
    el('span', { class: 'wide' }, long),
    el('span', { class: 'narrow', 'aria-hidden': 'true' }, short),
  );
}

function connection({ status, retryAt }) {
  if (status === 'live')
    return el(
      'p',
      { class: 'connection is-live', 'data-connection': 'live', role: 'status' },
      el('span', { class: 'dot' }),
      'Live',
    );
  if (status === 'connecting') {
    return el(
      'p',
      { class: 'connection', 'data-connection': 'connecting', role: 'status' },
      el('span', { class: 'dot' }),
      'Connecting…',
    );
  }
  return el(
    'p',
    { class: 'connection is-lost', 'data-connection': 'lost', role: 'status' },
    el('span', { class: 'dot' }),
    'Connection lost ',
    el(
      'button',
      {
        type: 'button',
        class: 'plain',
        'data-action': 'reconnect',
        title: retryAt ? 'It is tried again by itself' : null,
      },
      'Try now',
    ),
  );
}

function pauseAll({ stats, connection }) {
  const isPaused = stats?.globally_paused === true;
  return el(
    'button',
    {
      type: 'button',
      class: isPaused ? 'primary' : '',
      'data-action': isPaused ? 'resume-all' : 'pause-all',
      disabled: !stats || connection.status !== 'live',
    },
    isPaused ? 'Resume all' : 'Pause all',
  );
}

function figures({ stats }) {
  if (!stats) return null;
  const figure = (name, value, words, isShown = true) =>
    isShown &&
    el(
      'div',
      { class: `figure is-${name}`, 'data-figure': name },
      icon(name),
      el('dd', {}, value),
      el('dt', {}, words),
    );
  return el(
    'dl',
    { class: 'figures', 'aria-label': 'Queue' },
    stats.globally_paused &&
      el(
        'div',
        { class: 'figure is-paused strong', 'data-figure': 'global-pause' },
        icon('paused'),
        el('dt', {}, 'All paused: nothing starts'),
      ),
    figure('running', `${stats.running} of ${stats.max_concurrent_tasks}`, 'running'),
    figure('queued', stats.queued, 'queued'),
    figure('paused', stats.paused, 'paused'),
    figure('retrying', stats.retrying, 'retrying'),
    figure('running', stats.restoring, 'restoring', stats.restoring > 0),
    figure('failed', stats.fenced_workers, 'workers given up', stats.fenced_workers > 0),
  );
}
