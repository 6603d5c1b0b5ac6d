// Items: what is to be backed up, when it is due, and how it went.

import { command } from './api.js';
import { columns } from './answers.js';
import { relative } from './clock.js';
import { confirmed } from './dialog.js';
import { el, onActions, show } from './dom.js';
import { editItem } from './editor.js';
import { icon, statusIcon } from './icons.js';
import { notice, noticeRefusal, sentence } from './notices.js';
import { STATUS_WORDS, bytesIn, endWords, withErrors } from './outcomes.js';
import { bytes, instant } from './quantities.js';
import { hashOf } from './routes.js';
import { SPARKS_MAX, sparkline } from './sparkline.js';
import { statusOf } from './state.js';
import { current, repaint } from './store.js';

export const ITEMS = {
  title: 'Items',
  enter,
  sees: (state) => [state.items, state.setup, statuses(state)],
  show: showItems,
};

/** Histories that are asked for at once. */
const ASKED_AT_ONCE = 4;
/** Answers to hundreds of items are shown together. */
const SHOWN_EVERY_MS = 200;
/** Each item's last tasks, and the task that they were asked for after. */
const histories = new Map();
let asking = 0;
let soon = null;

function enter(root) {
  const item = (button) => current().items.find((each) => each.item.id === button.dataset.item);
  const done = (promise, words, kind) => promise.then(() => notice(words, kind)).catch(noticeRefusal);
  onActions(root, {
    make: () => editItem(null, current()),
    edit: (button) => item(button) && editItem(item(button), current()),
    run: (button) => {
      const found = item(button);
      if (!found) return;
      const name = found.item.source.firebird === undefined ? 'perform-backup' : 'perform-firebird-backup';
      done(command(name, { item: found.item.id }), `${found.item.id} is being backed up.`, 'running');
    },
    enable: (button) => {
      const enabled = button.dataset.enabled === 'true';
      const words = enabled ? 'runs by its schedule again.' : 'is disabled: it runs only when asked.';
      done(command('enable-item', { item: button.dataset.item, enabled }), `${button.dataset.item} ${words}`);
    },
    remove: async (button) => {
      const id = button.dataset.item;
      const text = 'A task of it that runs is cancelled. Its history and its snapshots stay.';
      if (!(await confirmed({ title: `Remove ${id}?`, text, action: 'Remove the item' }))) return;
      done(command('remove-item', { item: id }), `${id} is removed.`);
    },
  });
}

// Progress changes nothing here.
function statuses({ tasks }) {
  return [...tasks.values()].map(({ task }) => `${task.id} ${statusOf(task)}`).join();
}

function showItems(root, route, state) {
  askHistories(state.items);
  show(
    root,
    el(
      'div',
      { class: 'section-head' },
      el('h1', {}, 'Items'),
      el(
        'button',
        { type: 'button', class: 'primary', 'data-action': 'make', disabled: !state.setup.repositories.length },
        'New item',
      ),
    ),
    state.items.length === 0 ? noItems(state) : table(state),
  );
}

function noItems(state) {
  return el(
    'div',
    { class: 'empty', 'data-key': 'none' },
    icon('items', 'large'),
    el('p', {}, el('strong', {}, 'No item yet.')),
    state.setup.repositories.length
      ? el(
          'p',
          {},
          'An item says what is to be backed up, where to, and when. Make the first one here, or write it into the configuration file.',
        )
      : el(
          'p',
          {},
          'Items need a repository to go to, and there is none yet. Add one to the configuration file, under ',
          el('code', {}, '[repositories.NAME]'),
          ', and start the daemon again.',
        ),
  );
}

function table(state) {
  return el(
    'table',
    { class: 'items', 'data-key': 'table' },
    el('caption', { class: 'unseen' }, 'Items'),
    columns('Item', 'Next due', 'Last outcome', 'Size', 'Last 30', 'Actions'),
    el(
      'tbody',
      {},
      state.items.map((each) => itemRow(each, state)),
    ),
  );
}

function itemRow(now, state) {
  const { item, owner } = now;
  return el(
    'tr',
    { 'data-key': item.id, 'data-item': item.id, class: item.enabled ? '' : 'is-disabled' },
    el(
      'th',
      { scope: 'row', class: 'name' },
      el('a', { class: 'item-name', href: hashOf('history', [], { item: item.id }), title: 'Its history' }, item.id),
      el('p', { class: 'quiet' }, sourceWords(item.source), ' → ', item.repository),
      owner === 'configuration-file' &&
        el(
          'p',
          { class: 'chip', title: 'Change it in the configuration file; this page only shows it.' },
          'Configuration file',
        ),
    ),
    el('td', { 'data-label': 'Next due' }, due(now, state)),
    el('td', { 'data-label': 'Last outcome' }, outcome(now, state)),
    el('td', { 'data-label': 'Size', class: 'figure-cell' }, size(item.id)),
    el('td', { 'data-label': 'Last 30', class: 'sparks' }, sparkline(histories.get(item.id)?.tasks ?? null, item.id)),
    el('td', { class: 'actions' }, el('div', { class: 'action-row' }, itemActions(now, state))),
  );
}

function sourceWords(source) {
  if (source.firebird !== undefined) return `Firebird, ${source.firebird}`;
  if (source.named !== undefined) return `Source ${source.named}`;
  const [first, ...others] = source.files.paths;
  return others.length ? `${first} and ${others.length} more` : first;
}

function due({ item, next_due }, state) {
  if (!item.schedule) return el('p', { class: 'quiet' }, 'Only when asked');
  const zone = item.schedule.time_zone || state.setup.time_zone;
  const spec = el(
    'p',
    { class: 'quiet spec-and-zone' },
    el('span', { class: 'spec' }, item.schedule.spec),
    ' ',
    el('span', { class: 'whole' }, zone),
  );
  if (!item.enabled) return [el('p', {}, 'Disabled'), spec];
  if (!next_due) return [el('p', {}, 'Never by itself'), spec];
  return [
    el('p', {}, relative(next_due, zone), ' ', el('span', { class: 'quiet whole' }, instant(next_due, zone))),
    spec,
  ];
}

function outcome({ latest, active_task }, state) {
  const active = active_task && state.tasks.get(active_task);
  if (active) {
    const status = statusOf(active.task);
    return el(
      'p',
      { class: `outcome is-${status}` },
      statusIcon(status),
      el('a', { href: '#/tasks' }, STATUS_WORDS[status]),
    );
  }
  if (!latest) return el('p', { class: 'quiet' }, 'Never ran');
  const status = 'failed' in latest.end ? 'failed' : 'cancelled' in latest.end ? 'cancelled' : 'completed';
  return [
    el(
      'p',
      { class: `outcome is-${status}` },
      statusIcon(status),
      el('span', {}, STATUS_WORDS[status], withErrors(latest.end)),
      el('span', { class: 'quiet' }, relative(latest.at, state.setup.time_zone)),
    ),
    status === 'failed' &&
      el('p', { class: 'why clipped', title: endWords(latest.end) }, sentence(endWords(latest.end))),
  ];
}

function size(id) {
  const last = histories.get(id)?.tasks?.find((task) => task.state === 'completed');
  const value = last && bytesIn(last.end);
  return value === null || value === undefined ? el('span', { class: 'quiet' }, '–') : bytes(value);
}

function itemActions({ item, owner, active_task }) {
  const action = (name, words, others = {}) =>
    el(
      'button',
      {
        type: 'button',
        'data-action': name,
        'data-key': name,
        'data-item': item.id,
        'aria-label': `${words}: ${item.id}`,
        ...others,
      },
      words,
    );
  const isOurs = owner === 'journal';
  return [
    action('run', 'Run now', {
      disabled: active_task !== null,
      title: active_task !== null ? 'A task of it has not ended yet' : null,
    }),
    isOurs && action('edit', 'Edit'),
    isOurs &&
      item.schedule &&
      action('enable', item.enabled ? 'Disable' : 'Enable', { 'data-enabled': String(!item.enabled) }),
    isOurs && action('remove', 'Remove'),
  ];
}

function showHistories() {
  soon = null;
  repaint();
}

/** Asks for what is new since the item's last task ended, a few at a time; what failed, when items are known anew. */
function askHistories(items) {
  for (const { item, latest } of items) {
    if (asking >= ASKED_AT_ONCE) return;
    const after = latest?.task ?? null;
    const known = histories.get(item.id);
    if (known?.after === after && (!known.failedWith || known.failedWith === items)) continue;
    histories.set(item.id, { ...known, after, failedWith: null });
    asking += 1;
    command('get-history', { item: item.id, limit: SPARKS_MAX })
      .then(({ tasks }) => histories.set(item.id, { after, tasks, failedWith: null }))
      .catch(() => histories.set(item.id, { ...known, after, failedWith: items }))
      .finally(() => {
        asking -= 1;
        askHistories(current().items);
        soon ??= setTimeout(showHistories, SHOWN_EVERY_MS);
      });
  }
}
