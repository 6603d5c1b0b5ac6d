// The one place where the page's state is kept. Whoever shows it is called once a frame at most.

import { NOTHING_KNOWN } from './state.js';

let state = NOTHING_KNOWN;
let isPlanned = false;
let paint = () => {};

/** The state as it is now. */
export function current() {
  return state;
}

/** Replaces it by what `change` makes of it. */
export function change(change) {
  const next = change(state);
  if (next === state) return;
  state = next;
  repaint();
}

/** Shows the state again, with the next frame. A page that nobody sees has no frames: it is kept right by a timer. */
export function repaint() {
  if (isPlanned) return;
  isPlanned = true;
  const now = () => {
    isPlanned = false;
    paint();
  };
  if (document.hidden) setTimeout(now, 0);
  else requestAnimationFrame(now);
}

/** Who shows it. */
export function onPaint(show) {
  paint = show;
}
