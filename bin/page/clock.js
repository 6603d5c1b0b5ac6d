// The daemon's clock, and times on the page that move with it.

import { el } from './dom.js';
import { distance, instant, span } from './quantities.js';

const TICK_MS = 1000;
let aheadMs = 0;

/** Takes the daemon's time as the time: this machine's clock may be another one. */
export function setTime(now) {
  aheadMs = new Date(now).getTime() - Date.now();
}

/** Now, in milliseconds, by the daemon's clock. */
export function now() {
  return Date.now() + aheadMs;
}

/** `in 4 min`, with the instant itself for whoever asks. */
export function relative(at, zone) {
  const title = instant(at, zone, 'full');
  return el('time', { datetime: at, title, 'data-tick': 'relative' }, textOf('relative', at));
}

/** `0:42`, until it is over. */
export function countdown(at) {
  return el('time', { datetime: at, class: 'countdown', 'data-tick': 'countdown' }, textOf('countdown', at));
}

/** `12 s`, since then. */
export function elapsed(at) {
  return el('time', { datetime: at, 'data-tick': 'elapsed' }, textOf('elapsed', at));
}

function textOf(kind, at) {
  const ms = new Date(at).getTime() - now();
  if (kind === 'relative') return distance(ms);
  if (kind === 'elapsed') return span(-ms / 1000);
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** Moves what is shown, once a second. */
export function startTicking() {
  setInterval(() => {
    for (const time of document.querySelectorAll('time[data-tick]')) {
      const text = textOf(time.dataset.tick, time.dateTime);
      if (time.textContent !== text) time.textContent = text;
    }
  }, TICK_MS);
}
