// How much and how long: a bar for each backup that ended well, and the same as a table.

import { columns } from './answers.js';
import { el, svg } from './dom.js';
import { titleOf } from './outcomes.js';
import { bytes, instant, span } from './quantities.js';

/** Backups in it, the newest. */
const BACKUPS_MAX = 60;
const [WIDTH, HEIGHT, GAP] = [600, 90, 0.25];

/** What the chart shows of tasks: the oldest first. */
export function chartedBackups(tasks) {
  return tasks
    .filter((task) => task.end?.['backed-up'])
    .slice(0, BACKUPS_MAX)
    .reverse()
    .map((task) => ({
      task,
      held: task.end['backed-up'].bytes,
      stored: task.end['backed-up'].bytes_stored,
      seconds: Math.max(0, (new Date(task.changed) - new Date(task.created)) / 1000),
    }));
}

/** The chart and its table; nothing if no backup ended well. */
export function chart(tasks, zone) {
  const backups = chartedBackups(tasks);
  if (!backups.length) return null;
  const words = (backup) => `${titleOf(backup.task)}, ${instant(backup.task.changed, zone)}`;
  return el(
    'section',
    { 'data-key': 'chart', 'aria-labelledby': 'chart-title' },
    el('h2', { id: 'chart-title' }, 'Bytes and durations'),
    el(
      'div',
      { class: 'chart-and-table' },
      el(
        'div',
        { class: 'charts' },
        panel('Size', backups, ({ held }) => held, bytes, 'bytes', words),
        panel('Stored', backups, ({ stored }) => stored, bytes, 'stored', words),
        panel('Duration', backups, ({ seconds }) => seconds, span, 'seconds', words),
        el(
          'p',
          { class: 'axis quiet' },
          el('span', {}, instant(backups[0].task.changed, zone)),
          backups.length > 1 && el('span', {}, instant(backups.at(-1).task.changed, zone)),
        ),
      ),
      el(
        'div',
        { class: 'scrolled', tabindex: 0, role: 'region', 'aria-label': 'The same as a table' },
        table(backups, zone),
      ),
    ),
  );
}

function panel(title, backups, valueOf, shown, kind, words) {
  const values = backups.map(valueOf);
  const most = Math.max(...values);
  const step = WIDTH / Math.max(backups.length, 12);
  const bars = backups.map((backup, index) => {
    const height = most > 0 ? Math.max(1, (values[index] / most) * (HEIGHT - 2)) : 1;
    return svg(
      'rect',
      { x: index * step + (step * GAP) / 2, y: HEIGHT - height, width: step * (1 - GAP), height },
      svg('title', {}, `${words(backup)}: ${shown(values[index])}`),
    );
  });
  return el(
    'figure',
    { class: `panel ${kind}`, 'data-key': kind },
    el('figcaption', {}, el('span', {}, title), el('span', { class: 'quiet' }, `up to ${shown(most)}`)),
    svg(
      'svg',
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': `${title} of the last ${backups.length} backups, up to ${shown(most)}; the table tells each`,
      },
      svg('path', { class: 'grid', d: `M0 1H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}` }),
      bars,
      svg('path', { class: 'base', d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }),
    ),
  );
}

function table(backups, zone) {
  return el(
    'table',
    { class: 'plain-table' },
    el('caption', { class: 'unseen' }, 'Bytes and durations of backups, the newest first'),
    columns('Ended', 'Item', 'Size', 'Stored', 'Took'),
    el(
      'tbody',
      {},
      [...backups]
        .reverse()
        .map(({ task, held, stored, seconds }) =>
          el(
            'tr',
            { 'data-key': task.id },
            el('td', {}, instant(task.changed, zone)),
            el('th', { scope: 'row' }, titleOf(task)),
            el('td', { class: 'figure-cell' }, bytes(held)),
            el('td', { class: 'figure-cell' }, bytes(stored)),
            el('td', { class: 'figure-cell' }, span(seconds)),
          ),
        ),
    ),
  );
}
