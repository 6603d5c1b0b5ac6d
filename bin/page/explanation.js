// Why an item's backup runs, waits, or did not run: the daemon's own words.

import { command } from './api.js';
import { refused, waiting } from './answers.js';
import { relative } from './clock.js';
import { el, marked } from './dom.js';
import { sentence } from './notices.js';
import { instant } from './quantities.js';
import { Question } from './question.js';
import { repaint } from './store.js';

const question = new Question(repaint);

/** The reasons, asked again when something happened. */
export function explanation(item, state) {
  const now = state.items.find((each) => each.item.id === item);
  if (!now) return null;
  const key = JSON.stringify([
    item,
    state.lastEnded,
    state.loads,
    now.active_task,
    now.next_due,
    now.item,
    state.stats?.globally_paused,
  ]);
  question.ask(key, (signal) => command('get-item-explanation', { item }, signal), item);
  return el(
    'section',
    { class: 'explanation', 'data-key': 'explanation', 'aria-labelledby': 'explanation-title' },
    el('h2', { id: 'explanation-title' }, 'Why did it run, or not?'),
    question.refusal
      ? refused(question.refusal)
      : question.answer
        ? el(
            'ol',
            { class: 'reasons' },
            question.answer.reasons.map((reason) => entry(reason, state.setup.time_zone)),
          )
        : waiting(),
  );
}

function entry({ at, text, advice }, zone) {
  return el(
    'li',
    { class: 'reason' },
    el(
      'p',
      {},
      el(
        'span',
        { class: 'when' },
        at ? [relative(at, zone), el('span', { class: 'quiet' }, ` · ${instant(at, zone)}`)] : 'Now',
      ),
      ' ',
      marked(sentence(text)),
    ),
    advice && el('p', { class: 'quiet' }, marked(sentence(advice))),
  );
}
