// The next due times of a schedule, while it is typed: asked for when the typing rests, and the newest answer wins.

import { command } from './api.js';
import { el, show } from './dom.js';
import { sentence } from './notices.js';
import { instant } from './quantities.js';

/** Typing that rests so long is a thought. */
const REST_MS = 250;
/** How many are shown. */
export const SHOWN = 5;

/** Shows due times in `place`. `refused(message)` is told what is wrong with the schedule, or null. */
export class DueTimesPreview {
  #place;
  #refused;
  #timer = null;
  #newest = 0;

  constructor(place, refused) {
    this.#place = place;
    this.#refused = refused;
    this.update(null);
  }

  /** Takes a schedule, or null for none; at once if `isNow`. */
  update(schedule, isNow = false) {
    clearTimeout(this.#timer);
    const mine = ++this.#newest;
    if (!schedule) {
      this.#refused(null);
      show(this.#place, el('p', { class: 'hint' }, 'Without a schedule it runs only when asked.'));
      return;
    }
    this.#timer = setTimeout(() => this.#ask(schedule, mine), isNow ? 0 : REST_MS);
  }

  async #ask(schedule, mine) {
    try {
      const { due_times: times } = await command('get-due-times', { schedule, after: null, limit: SHOWN });
      if (mine !== this.#newest) return;
      this.#refused(null);
      show(this.#place, list(times, schedule.time_zone));
    } catch (refusal) {
      if (mine !== this.#newest) return;
      this.#refused(sentence(refusal.message));
      show(this.#place, el('p', { class: 'hint' }, 'The next due times are shown here.'));
    }
  }
}

function list(times, zone) {
  if (!times.length) return el('p', { class: 'hint' }, 'This is never due.');
  return [
    el('p', { class: 'hint' }, times.length < SHOWN ? `Due ${times.length} more times:` : 'Due next:'),
    el(
      'ol',
      { class: 'due-times' },
      times.map((time) => el('li', {}, el('time', { datetime: time }, instant(time, zone)))),
    ),
  ];
}
