// The one place where the page's state is kept. Whoever shows it is called once a frame at most.

import { NOTHING_KNOWN } from './state.js';

let state = NOTHING_KNOWN;
let isPlanned = false;
let isWhole = false;
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
  plan();
}

/** Shows all again, for what is no part of the state. */
export function repaint() {
  isWhole = true;
  plan();
}

// With the next frame. A page that nobody sees has no frames: it is kept right by a timer.
function plan() {
  if (isPlanned) return;
  isPlanned = true;
  const now = () => {
    const whole = isWhole;
    isPlanned = isWhole = false;
    paint(whole);
  };
  if (document.hidden) setTimeout(now, 0);
  else requestAnimationFrame(now);
}

/** Who shows it: told whether all is to be shown again, or what changed of the state. */
export function onPaint(show) {
  paint = show;
}
