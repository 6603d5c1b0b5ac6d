// Events as they happen: a line to the daemon that is taken up again until it holds.
//
// A durable event has a number. Whoever comes back with the last one that he has seen is told all that he missed,
// so none is lost and none is asked for twice. A line that says nothing for too long is given up: the daemon says
// that it is there every 15 seconds.

import { refusalOf } from './api.js';

/** Three signs of life may go missing. */
const SILENT_MS_MAX = 50_000;
const BACK_AFTER_MS = 500;
const BACK_AFTER_MS_MAX = 15_000;

/** How long to wait after so many attempts in vain; `chance` between 0 and 1 spreads many pages. */
export function waitMs(attempts, chance) {
  const most = Math.min(BACK_AFTER_MS * 2 ** Math.min(attempts, 16), BACK_AFTER_MS_MAX);
  return Math.round(most * (0.75 + chance / 4));
}

/** Cuts a stream of server-sent events into frames, whatever pieces it comes in. */
export class Frames {
  #rest = '';
  #fields = { event: 'message', data: [], id: null };

  /** The frames that are whole with this piece, as `{event, data, id}`. */
  push(piece) {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#take(line)).filter(Boolean);
  }

  #take(line) {
    if (line === '') return this.#end();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#fields.data.push(value);
    else if (name === 'event' || name === 'id') this.#fields[name] = value;
    return null;
  }

  #end() {
    const { event, data, id } = this.#fields;
    this.#fields = { event: 'message', data: [], id: null };
    return data.length ? { event, data: data.join('\n'), id } : null;
  }
}

/**
 * The line. `told` has `opened()`, `event(numbered)`, `progress(value)`, `missed(after)`, `lost(waitMs)`, `refused(refusal)`;
 * `after()` gives the number of the last event that was taken in, or null.
 */
export class Stream {
  #told;
  #after;
  #line = null;
  #attempts = 0;
  #wake = null;

  constructor(told, after) {
    this.#told = told;
    this.#after = after;
    for (const sign of ['online', 'pageshow']) addEventListener(sign, () => this.retryNow());
  }

  /** Keeps the line up until `stop`, or until the daemon asks for a login. */
  async start() {
    this.stop();
    const line = new AbortController();
    this.#line = line;
    this.#attempts = 0;
    while (!line.signal.aborted) {
      const refusal = await this.#hold(line.signal).catch(() => null);
      if (line.signal.aborted) return;
      if (refusal?.needsLogin) return this.#told.refused(refusal);
      const wait = waitMs(this.#attempts++, Math.random());
      this.#told.lost(wait);
      await this.#sleep(wait);
    }
  }

  /** Whether it is kept up. */
  get isUp() {
    return this.#line !== null && !this.#line.signal.aborted;
  }

  /** Lets go. */
  stop() {
    this.#line?.abort();
    this.#wake?.();
  }

  /** Does not wait any longer. */
  retryNow() {
    this.#wake?.();
  }

  /** Gives the line that is up away and takes up another. */
  renew() {
    this.start();
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One line from its beginning to its end; returns a refusal if there was one. */
  async #hold(stopped) {
    const silence = new AbortController();
    let watch = setTimeout(() => silence.abort(), SILENT_MS_MAX);
    try {
      const after = this.#after();
      const answer = await fetch(after === null ? '/api/v1/events' : `/api/v1/events?after=${after}`, {
        headers: { accept: 'text/event-stream' },
        signal: AbortSignal.any([stopped, silence.signal]),
      });
      if (!answer.ok) return await refusalOf(answer);
      this.#told.opened();
      const frames = new Frames();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || stopped.aborted) return null;
        this.#attempts = 0;
        clearTimeout(watch);
        watch = setTimeout(() => silence.abort(), SILENT_MS_MAX);
        for (const frame of frames.push(value)) this.#tell(frame);
      }
    } finally {
      clearTimeout(watch);
    }
  }

  #tell({ event, data }) {
    const value = JSON.parse(data);
    if (event === 'backup-progress') this.#told.progress(value);
    else if (event === 'missed') this.#told.missed(value.after);
    else if (typeof value.number === 'number') this.#told.event(value);
  }
}
