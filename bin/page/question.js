// A question of a view, asked once for each key; the newest answer wins. One that nobody wants any more is closed, so
// that the daemon does not go on with it, and the browser has its connection back.

/** Those that wait for an answer, and those that were asked, or asked again, by what is being shown. */
const underWay = new Set();
let wanted = new Set();

/** Has a view shown by `show`; what waits for an answer and was not asked by it is closed. */
export function whileShown(show) {
  wanted = new Set();
  show();
  for (const question of underWay) if (!wanted.has(question)) question.forget();
}

/** Holds `answer`, `refusal` and `isAsked` of what was asked last. `changed()` is called when one of them changes. */
export class Question {
  answer = null;
  refusal = null;
  isAsked = false;
  #key = null;
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /**
   * Calls `ask(signal)`, unless this key was asked for last. An answer to a former key of the same `topic` stays in sight
   * meanwhile. The signal is given when nobody waits for the answer any more.
   */
  async ask(key, ask, topic = key) {
    wanted.add(this);
    if (this.#key?.key === key) return;
    const isOfTopic = this.#key?.topic === topic;
    this.forget();
    if (!isOfTopic) this.answer = null;
    const mine = { key, topic, end: new AbortController() };
    Object.assign(this, { refusal: null, isAsked: true });
    this.#key = mine;
    underWay.add(this);
    try {
      const answer = await ask(mine.end.signal);
      if (this.#key === mine) this.answer = answer;
    } catch (error) {
      if (this.#key === mine) Object.assign(this, { refusal: error, answer: null });
    }
    if (this.#key !== mine) return;
    underWay.delete(this);
    this.isAsked = false;
    this.#changed();
  }

  /** Asks again the next time; does not wait for an answer that is not there yet. */
  forget() {
    if (underWay.delete(this)) this.#key.end.abort();
    this.isAsked = false;
    this.#key = null;
  }
}
