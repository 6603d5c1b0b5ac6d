// Active tasks: one row each, as it is told, and the last that ended.

import { command } from './api.js';
import { countdown, elapsed, relative } from './clock.js';
import { confirmed } from './dialog.js';
import { el, onActions, show } from './dom.js';
import { icon, statusIcon } from './icons.js';
import { notice, noticeRefusal, sentence } from './notices.js';
import { STATUS_WORDS, adviceFor, endWords, endedHead, purposeOf, titleOf } from './outcomes.js';
import { bytes, instant, span } from './quantities.js';
import { hashOf } from './routes.js';
import { statusOf } from './state.js';
import { current } from './store.js';

export const TASKS = { title: 'Active tasks', enter, sees: (state) => [state], show: showTasks };

function enter(root) {
  const send = (name) => async (button) => {
    button.disabled = true;
    try {
      await command(name, { task: button.dataset.task });
    } catch (refusal) {
      noticeRefusal(refusal);
    }
    button.disabled = false;
  };
  onActions(root, {
    pause: send('pause-backup'),
    resume: send('resume-backup'),
    cancel: async (button) => {
      const { task } = button.dataset;
      const entry = current().tasks.get(task);
      if (!entry) return;
      const title = titleOf(entry.task);
      const text = entry.task.kind.restore
        ? 'Files that were restored so far stay where they are.'
        : 'What it stored so far stays in the repository, and the next backup builds on it. There will be no snapshot of this one.';
      if (!(await confirmed({ title: `Cancel ${title}?`, text, action: 'Cancel the task', keep: 'Let it run' })))
        return;
      await command('cancel-task', { task }).catch(noticeRefusal);
    },
    again: async (button) => {
      await command('perform-backup', { item: button.dataset.item })
        .then(() => notice(`${button.dataset.item} is being backed up.`, 'running'))
        .catch(noticeRefusal);
    },
  });
}

function showTasks(root, route, state) {
  const entries = [...state.tasks.values()].sort(
    (one, other) => rank(one) - rank(other) || one.task.id.localeCompare(other.task.id),
  );
  show(
    root,
    el('h1', {}, 'Active tasks'),
    entries.length
      ? el(
          'ul',
          { class: 'rows', 'data-key': 'active', 'aria-label': 'Active tasks' },
          entries.map((entry) => row(entry, state)),
        )
      : nothingRuns(state),
    state.ended.length > 0 &&
      el(
        'section',
        { 'data-key': 'ended', 'aria-labelledby': 'ended-title' },
        el(
          'div',
          { class: 'section-head' },
          el('h2', { id: 'ended-title' }, 'Ended lately'),
          el('a', { href: '#/history' }, 'All of them'),
        ),
        el(
          'ul',
          { class: 'rows' },
          state.ended.map((task) => endedRow(task, state)),
        ),
      ),
  );
}

/** Those that run stand first; what waits follows. */
function rank({ task }) {
  return ['running', 'retrying', 'paused', 'queued'].indexOf(statusOf(task));
}

function zoneOf(state) {
  return state.setup?.time_zone;
}

function row(entry, state) {
  const { task, shown } = entry;
  const status = statusOf(task);
  const title = titleOf(task);
  const isWorking = status === 'running' || (status === 'paused' && shown);
  const name = `task-${task.id}`;
  return el(
    'li',
    {
      class: `row is-${status}`,
      'data-key': task.id,
      'data-task': task.id,
      'data-status': status,
      'data-title': title,
    },
    statusIcon(status),
    el(
      'div',
      { class: 'row-body' },
      el(
        'div',
        { class: 'row-head' },
        el('h3', { id: name }, title),
        el('span', { class: `status is-${status}` }, STATUS_WORDS[status], attemptWords(entry)),
      ),
      el(
        'p',
        { class: 'quiet purpose' },
        purposeOf(task, (due) => instant(due, zoneOf(state))),
      ),
      isWorking &&
        el(
          'div',
          { class: 'progress', 'data-key': 'progress' },
          el('p', { class: 'message' }, shown?.message ?? 'Preparing'),
          el('progress', { max: 100, value: shown?.percent ?? 0, 'aria-labelledby': name, class: `is-${status}` }),
          el('p', { class: 'percent' }, `${shown?.percent ?? 0}%`),
          meta(entry, status),
        ),
      waitWords(task, state),
    ),
    el(
      'div',
      { class: 'row-actions' },
      status === 'paused'
        ? action('resume', 'Resume', task.id, title)
        : task.kind.backup !== undefined && action('pause', 'Pause', task.id, title),
      action('cancel', 'Cancel', task.id, title),
    ),
  );
}

function action(name, words, task, title) {
  return el(
    'button',
    { type: 'button', 'data-action': name, 'data-key': name, 'data-task': task, 'aria-label': `${words} ${title}` },
    words,
  );
}

function attemptWords({ task, retry }) {
  if (retry) return ` · attempt ${retry.attempt} of ${retry.attempts_max}`;
  if (task.attempt > 1)
    return task.attempts_max ? ` · attempt ${task.attempt} of ${task.attempts_max}` : ` · attempt ${task.attempt}`;
  return '';
}

function meta({ task, shown }, status) {
  const progress = shown?.progress;
  if (!progress) return null;
  const of =
    progress.bytes_total > 0 &&
    `${bytes(progress.bytes_done)} of ${progress.totals_final ? '' : 'at least '}${bytes(progress.bytes_total)}`;
  const isMoving = status === 'running' && !shown.paused;
  return el(
    'ul',
    { class: 'meta' },
    isMoving && el('li', { class: 'rate' }, `${bytes(progress.bytes_per_second)}/s`),
    isMoving && progress.seconds_left > 0 && el('li', { class: 'left' }, `${span(progress.seconds_left)} left`),
    of && el('li', {}, of),
    progress.bytes_stored > 0 && el('li', {}, `${bytes(progress.bytes_stored)} stored`),
    progress.errors > 0 && el('li', { class: 'is-failed' }, `${progress.errors} unreadable`),
    isMoving && el('li', {}, 'for ', elapsed(task.changed)),
  );
}

function waitWords(task, state) {
  const { pending } = task;
  if (task.state !== 'pending') return null;
  if (pending?.retry) {
    return el(
      'p',
      { class: 'wait', 'data-key': 'wait' },
      'Next attempt in ',
      countdown(pending.retry.at),
      '. ',
      el('span', { class: 'why' }, sentence(pending.retry.why)),
    );
  }
  const words = {
    queued: state.stats?.globally_paused ? 'Waits: all backups are paused.' : 'Waits for its turn.',
    resuming: 'Goes on as soon as there is a slot.',
    'waiting-for-network': 'Waits for the network; another task looks when it is back. This costs no attempt.',
    paused: 'Was paused before it ran.',
  };
  return el('p', { class: 'wait', 'data-key': 'wait' }, words[pending] ?? 'Waits.');
}

function endedRow(task, state) {
  const status = task.state;
  const failure = task.end?.failed;
  const item = task.kind.backup;
  const zone = zoneOf(state);
  return el(
    'li',
    {
      class: `row ended is-${status}`,
      'data-key': task.id,
      'data-task': task.id,
      'data-status': status,
      'data-title': titleOf(task),
    },
    statusIcon(status),
    el(
      'div',
      { class: 'row-body' },
      endedHead(task, relative(task.changed, zone)),
      el('p', { class: failure ? 'why' : 'quiet' }, task.kind.restore && 'Restore: ', sentence(endWords(task.end))),
      failure && el('p', { class: 'quiet' }, adviceFor(failure)),
    ),
    el(
      'div',
      { class: 'row-actions' },
      failure &&
        item !== undefined &&
        el('button', { type: 'button', 'data-action': 'again', 'data-item': item }, 'Run again'),
      status === 'completed' && item !== undefined && snapshotLink(task, state),
    ),
  );
}

function snapshotLink(task, state) {
  const repository = state.items.find(({ item }) => item.id === task.kind.backup)?.item.repository;
  const snapshot = task.end?.['backed-up']?.snapshot;
  return (
    repository && snapshot && el('a', { class: 'button', href: hashOf('snapshots', [repository, snapshot]) }, 'Browse')
  );
}

function nothingRuns(state) {
  const next = state.items
    .filter(({ next_due, item }) => next_due && item.enabled)
    .sort((one, other) => one.next_due.localeCompare(other.next_due))[0];
  return el(
    'div',
    { class: 'empty', 'data-key': 'none' },
    icon('completed', 'large'),
    el('p', {}, el('strong', {}, 'Nothing runs, nothing waits.')),
    state.items.length === 0
      ? el(
          'p',
          {},
          'First ',
          el('a', { href: '#/items' }, 'make an item'),
          ': what is to be backed up, where to, and when.',
        )
      : next
        ? el(
            'p',
            {},
            'Next: ',
            el('a', { href: '#/items' }, next.item.id),
            ' ',
            relative(next.next_due, zoneOf(state)),
            ', ',
            instant(next.next_due, next.item.schedule?.time_zone ?? zoneOf(state)),
            '.',
          )
        : el(
            'p',
            {},
            'No item is due by itself. ',
            el('a', { href: '#/items' }, 'Run one now'),
            ', or give it a schedule.',
          ),
  );
}
