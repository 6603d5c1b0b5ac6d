// An item's last tasks in one line: how much each holds, and how it ended, by colour and by shape.

import { el, svg } from './dom.js';
import { bytesIn, errorsIn } from './outcomes.js';
import { bytes, count } from './quantities.js';

/** Tasks in it. */
export const SPARKS_MAX = 30;

const [WIDTH, HEIGHT, STEP, BAR] = [150, 28, 5, 3.4];

/** Where each task's bar stands and how tall it is: `{kind, x, height}`, the oldest first. */
export function sparks(tasks) {
  const shown = tasks.slice(0, SPARKS_MAX).reverse();
  const most = Math.max(1, ...shown.map((task) => bytesIn(task.end) ?? 0));
  return shown.map((task, index) => {
    const held = bytesIn(task.end);
    const kind = task.state === 'completed' && errorsIn(task.end) ? 'troubled' : task.state;
    const height = held === null ? 0 : Math.max(2, (held / most) * (HEIGHT - 4));
    return { kind, x: index * STEP, height };
  });
}

/** The line; `tasks` newest first, or null while they are not known. */
export function sparkline(tasks, item) {
  if (!tasks) return el('span', { class: 'sparkline waiting' });
  if (!tasks.length) return el('span', { class: 'quiet' }, '–');
  const bars = sparks(tasks);
  return svg(
    'svg',
    { class: 'sparkline', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': words(tasks, item) },
    svg('title', {}, words(tasks, item)),
    bars.map((bar) => mark(bar)),
  );
}

function mark({ kind, x, height }) {
  const middle = x + BAR / 2;
  if (kind === 'failed') {
    const [top, bottom] = [HEIGHT - 9, HEIGHT - 5];
    const cross = `M${middle - 2} ${top}L${middle + 2} ${bottom}M${middle + 2} ${top}L${middle - 2} ${bottom}`;
    return svg(
      'g',
      { class: 'spark is-failed' },
      svg('path', { d: cross }),
      svg('path', { d: `M${middle} 2V${HEIGHT - 12}` }),
    );
  }
  if (kind === 'cancelled')
    return svg('rect', { class: 'spark is-cancelled', x, y: HEIGHT - 3, width: BAR, height: 1.5 });
  return svg('rect', { class: `spark is-${kind}`, x, y: HEIGHT - height, width: BAR, height, rx: 0.8 });
}

function words(tasks, item) {
  const of = (state) => tasks.filter((task) => task.state === state).length;
  const parts = [
    `${of('completed')} completed`,
    of('failed') && `${of('failed')} failed`,
    of('cancelled') && `${of('cancelled')} cancelled`,
  ];
  const newest = tasks.map((task) => bytesIn(task.end)).find((held) => held !== null);
  const last = newest === undefined ? '' : `; the newest holds ${bytes(newest)}`;
  return `${item}, last ${count(tasks.length, 'task')}: ${parts.filter(Boolean).join(', ')}${last}`;
}
