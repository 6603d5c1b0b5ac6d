// Signs, drawn as strokes in the colour of the text beside them.

import { svg } from './dom.js';

const PATHS = {
  running: ['M12 3a9 9 0 1 0 9 9'],
  queued: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M12 7v5l3.5 2'],
  paused: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M10 9v6', 'M14 9v6'],
  completed: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M8 12.3l2.8 2.7L16 9.5'],
  failed: ['M12 3.5L2.8 19.5h18.4z', 'M12 10v4.5', 'M12 17.2v.1'],
  retrying: ['M20 12a8 8 0 0 1-14.3 4.9', 'M4 12A8 8 0 0 1 18.3 7.1', 'M18.5 3v4.3h-4.3', 'M5.5 21v-4.3h4.3'],
  cancelled: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M8 12h8'],
  tasks: ['M4 6h16', 'M4 12h10', 'M4 18h13'],
  items: ['M4 7.5L12 3.5l8 4-8 4z', 'M4 12l8 4 8-4', 'M4 16.5l8 4 8-4'],
  snapshots: ['M4 8h3l1.5-2.5h7L17 8h3v11H4z', 'M12 10.2a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4z'],
  history: ['M4 6h16v14H4z', 'M4 10.5h16', 'M8.5 3.5v4', 'M15.5 3.5v4'],
  file: ['M6 3h8l4 4v14H6z', 'M14 3v4h4'],
  folder: ['M3 6h6l2 2.5h10V19H3z'],
  link: ['M9.5 14.5l5-5', 'M11 7l2-2a4 4 0 0 1 6 6l-2 2', 'M13 17l-2 2a4 4 0 0 1-6-6l2-2'],
  other: ['M12 4v16', 'M4 12h16'],
};

/** A sign by name. It says nothing to a screen reader: the word stands beside it. */
export function icon(name, kind = '') {
  const paths = (PATHS[name] ?? PATHS.other).map((d) => svg('path', { d }));
  return svg('svg', { class: `icon ${kind}`.trim(), viewBox: '0 0 24 24', 'aria-hidden': 'true' }, paths);
}

/** Where a task stands, as one of the signs that everybody knows. */
export function statusIcon(status) {
  return icon(status, `status-icon is-${status}`);
}
