// A question of a view, asked once for each key; the newest answer wins.

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

  /** Asks, unless this key was asked for last. An answer to a former key of the same `topic` stays in sight meanwhile. */
  async ask(key, ask, topic = key) {
    if (this.#key?.key === key) return;
    if (this.#key?.topic !== topic) this.answer = null;
    const mine = { key, topic };
    Object.assign(this, { refusal: null, isAsked: true });
    this.#key = mine;
    try {
      const answer = await ask();
      if (this.#key === mine) this.answer = answer;
    } catch (error) {
      if (this.#key === mine) Object.assign(this, { refusal: error, answer: null });
    }
    if (this.#key !== mine) return;
    this.isAsked = false;
    this.#changed();
  }

  /** Asks again the next time. */
  forget() {
    this.#key = null;
  }
}
