// History: what became of each day, how much and how long, what failed and what to do, and why something did not run.

import { command } from './api.js';
import { refused, waiting } from './answers.js';
import { calendar, dayAfter, firstMonth, monthOf, monthsBefore, outcomesByDay } from './calendar.js';
import { chart } from './chart.js';
import { now, relative } from './clock.js';
import { el, onActions, show } from './dom.js';
import { explanation } from './explanation.js';
import { icon, statusIcon } from './icons.js';
import { noticeRefusal, notice, sentence } from './notices.js';
import { adviceFor, endWords, endedHead, purposeOf, titleOf } from './outcomes.js';
import { count, dayOf, instant, span } from './quantities.js';
import { Question } from './question.js';
import { go, hashOf } from './routes.js';
import { repaint } from './store.js';

export const HISTORY = {
  title: 'History',
  enter,
  sees: (state) => [state.items, state.setup, state.lastEnded, state.loads, state.stats?.globally_paused],
  show: showHistory,
};

/** Tasks that are asked for at once, and how often for one sight. */
const PAGE = 1000;
const PAGES_MAX = 10;
const FAILURES_MAX = 20;
const question = new Question(repaint);
/** The day whose tasks are listed, and how many months back the calendar ends. */
let day = null;
let back = 0;

function enter(root) {
  question.forget();
  onActions(root, {
    earlier: () => turn(1),
    later: () => turn(-1),
    day: (button) => choose(button.dataset.day),
    again: (button) => {
      if (!button.dataset.item) {
        question.forget();
        return repaint();
      }
      const { item } = button.dataset;
      command('perform-backup', { item })
        .then(() => notice(`${item} is being backed up.`, 'running'))
        .catch(noticeRefusal);
    },
  });
  onActions(root, { item: (select) => go(hashOf('history', [], { item: select.value })) }, 'change');
  root.addEventListener('keydown', (event) => {
    const from = event.target.closest?.('[data-day]')?.dataset.day;
    const days = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
    if (!from || !days) return;
    event.preventDefault();
    const to = dayAfter(from, days);
    const cell = root.querySelector(`[data-day="${to}"]`);
    if (cell) return focusOn(cell);
    if (days > 0 && back === 0) return;
    turn(days > 0 ? -1 : 1);
    requestAnimationFrame(() => requestAnimationFrame(() => focusOn(root.querySelector(`[data-day="${to}"]`))));
  });
}

function focusOn(cell) {
  if (!cell) return;
  for (const other of cell.closest('.calendar').querySelectorAll('[data-day]'))
    other.tabIndex = other === cell ? 0 : -1;
  cell.focus();
}

function turn(months) {
  back = Math.max(0, back + months);
  repaint();
}

function choose(wanted) {
  day = day === wanted ? null : wanted;
  repaint();
}

function showHistory(root, route, state) {
  const item = route.query.get('item');
  const zone = state.setup.time_zone;
  const first = firstMonth(monthsBefore(monthOf(dayOf(now(), zone)), back));
  const ask = (signal) => tasksSince(item, first, zone, signal);
  question.ask(JSON.stringify([item, first, state.lastEnded, state.loads]), ask, item);
  show(
    root,
    el('h1', {}, 'History'),
    el(
      'div',
      { class: 'toolbar' },
      el(
        'div',
        { class: 'field inline' },
        el('label', { for: 'history-item' }, 'Item'),
        el(
          'select',
          { id: 'history-item', 'data-on-change': 'item', 'data-value': item ?? '' },
          el('option', { value: '' }, 'All items'),
          names(state, item).map((id) => el('option', { value: id }, id)),
        ),
      ),
    ),
    item && explanation(item, state),
    question.refusal ? refused(question.refusal) : question.answer ? told(question.answer, item, zone) : waiting(),
  );
}

/** Tasks from the newest on, page by page, until the months in sight are covered. */
async function tasksSince(item, month, zone, signal) {
  const all = [];
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const before = all.at(-1)?.id ?? null;
    const fields = before ? { item, before, limit: PAGE } : { item, limit: PAGE };
    const { tasks } = await command('get-history', fields, signal);
    all.push(...tasks);
    if (tasks.length < PAGE || monthOf(dayOf(tasks.at(-1).changed, zone)) < month) break;
  }
  return all;
}

// An item that was removed still has a history.
function names(state, item) {
  const known = state.items.map((each) => each.item.id);
  return item && !known.includes(item) ? [...known, item] : known;
}

function told(tasks, item, zone) {
  if (!tasks.length) {
    return el(
      'div',
      { class: 'empty', 'data-key': 'none' },
      icon('history', 'large'),
      el('p', {}, el('strong', {}, item ? 'No task of it has ended yet.' : 'No task has ended yet.')),
      el('p', {}, el('a', { href: '#/items' }, 'Run an item now'), ', and its outcome stands here.'),
    );
  }
  const days = outcomesByDay(tasks, zone);
  const today = dayOf(now(), zone);
  const last = monthsBefore(monthOf(today), back);
  return [
    el(
      'section',
      { 'data-key': 'calendar', 'aria-labelledby': 'calendar-title' },
      el(
        'div',
        { class: 'section-head' },
        el('h2', { id: 'calendar-title' }, 'Outcomes by day'),
        el(
          'div',
          { class: 'action-row' },
          el('button', { type: 'button', 'data-action': 'earlier' }, 'Earlier'),
          el('button', { type: 'button', 'data-action': 'later', disabled: back === 0 }, 'Later'),
        ),
      ),
      calendar(days, last, today, day),
    ),
    day && dayTasks(days.get(day)?.tasks ?? [], zone),
    chart(tasks, zone),
    failures(tasks, zone),
  ];
}

function dayTasks(tasks, zone) {
  return el(
    'section',
    { 'data-key': 'day', class: 'day', 'aria-live': 'polite' },
    el('h2', {}, instant(`${day}T12:00:00Z`, 'UTC', 'day')),
    tasks.length === 0
      ? el('p', { class: 'quiet' }, 'No task ended on this day.')
      : el(
          'ul',
          { class: 'rows' },
          tasks.map((task) =>
            el(
              'li',
              { class: `row ended is-${task.state}`, 'data-key': task.id },
              statusIcon(task.state),
              el(
                'div',
                { class: 'row-body' },
                endedHead(
                  task,
                  `${instant(task.changed, zone, 'clock')}, after ${span((new Date(task.changed) - new Date(task.created)) / 1000)}`,
                ),
                el(
                  'p',
                  { class: 'quiet purpose' },
                  purposeOf(task, (due) => instant(due, zone)),
                ),
                el('p', { class: 'quiet' }, sentence(endWords(task.end))),
              ),
            ),
          ),
        ),
  );
}

function failures(tasks, zone) {
  const failed = tasks.filter((task) => task.end?.failed);
  return el(
    'section',
    { 'data-key': 'failures', 'aria-labelledby': 'failures-title' },
    el('h2', { id: 'failures-title' }, 'Failures'),
    failed.length === 0
      ? el('p', { class: 'quiet' }, `None in the last ${count(tasks.length, 'task')}.`)
      : el(
          'ul',
          { class: 'rows' },
          failed.slice(0, FAILURES_MAX).map((task) => failure(task, zone)),
        ),
    failed.length > FAILURES_MAX &&
      el('p', { class: 'quiet' }, `And ${failed.length - FAILURES_MAX} older ones: the calendar shows them.`),
  );
}

function failure(task, zone) {
  const item = task.kind.backup;
  return el(
    'li',
    { class: 'row ended is-failed', 'data-key': task.id, 'data-failure': task.end.failed.class },
    statusIcon('failed'),
    el(
      'div',
      { class: 'row-body' },
      el(
        'div',
        { class: 'row-head' },
        el('h3', {}, titleOf(task)),
        el('span', { class: 'chip' }, task.end.failed.class),
        el(
          'span',
          { class: 'quiet' },
          relative(task.changed, zone),
          ` · ${instant(task.changed, zone)}`,
          task.attempt > 1 && ` · ${task.attempt} attempts`,
        ),
      ),
      el('p', { class: 'why' }, sentence(task.end.failed.why)),
      el('p', {}, el('strong', {}, 'What to do: '), adviceFor(task.end.failed)),
    ),
    el(
      'div',
      { class: 'row-actions' },
      item !== undefined && el('button', { type: 'button', 'data-action': 'again', 'data-item': item }, 'Run again'),
    ),
  );
}
