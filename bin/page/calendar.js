// Months of outcomes, one cell a day: by colour and by sign.

import { el } from './dom.js';
import { errorsIn } from './outcomes.js';
import { count, dayOf, instant } from './quantities.js';

/** Months that are shown at once. */
const MONTHS = 3;
const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
/** What a day is shown as is the first of these that happened on it. */
const SIGNS = [
  ['failed', '!', 'failed'],
  ['troubled', '±', 'completed with errors'],
  ['completed', '✓', 'completed'],
  ['cancelled', '–', 'cancelled'],
];

/** The days on which tasks ended, as `2026-11-25`, each with its tasks and how many of which outcome. */
export function outcomesByDay(tasks, zone) {
  const days = new Map();
  for (const task of tasks) {
    const key = dayOf(task.changed, zone);
    const day = days.get(key) ?? { tasks: [], counts: {} };
    const outcome = task.state === 'completed' && errorsIn(task.end) ? 'troubled' : task.state;
    day.counts[outcome] = (day.counts[outcome] ?? 0) + 1;
    day.tasks.push(task);
    days.set(key, day);
  }
  return days;
}

/** The outcome that a day is shown as, or null. */
export function shownOutcome(counts) {
  return SIGNS.find(([outcome]) => counts?.[outcome])?.[0] ?? null;
}

/** `2026-11` of a day. */
export function monthOf(day) {
  return day.slice(0, 7);
}

/** The month so many before. */
export function monthsBefore(month, back) {
  const [year, number] = month.split('-').map(Number);
  return new Date(Date.UTC(year, number - 1 - back, 1)).toISOString().slice(0, 7);
}

/** The first of the months that are in sight if the last is this one. */
export function firstMonth(last) {
  return monthsBefore(last, MONTHS - 1);
}

/** The day so many after. */
export function dayAfter(day, days) {
  const [year, month, date] = day.split('-').map(Number);
  return new Date(Date.UTC(year, month - 1, date + days)).toISOString().slice(0, 10);
}

/** The weeks of a month from Monday on, as days; null where another month's would stand. */
export function weeksOf(month) {
  const [year, number] = month.split('-').map(Number);
  const days = new Date(Date.UTC(year, number, 0)).getUTCDate();
  const before = (new Date(Date.UTC(year, number - 1, 1)).getUTCDay() + 6) % 7;
  const cells = [
    ...Array(before).fill(null),
    ...Array.from({ length: days }, (_, index) => `${month}-${String(index + 1).padStart(2, '0')}`),
  ];
  while (cells.length % 7) cells.push(null);
  return Array.from({ length: cells.length / 7 }, (_, week) => cells.slice(week * 7, week * 7 + 7));
}

/** The months up to `last`. One cell can be reached by the tab key, the others from there by arrows. */
export function calendar(days, last, today, chosen) {
  const months = Array.from({ length: MONTHS }, (_, index) => monthsBefore(last, MONTHS - 1 - index));
  const isInSight = (day) => day !== null && months.includes(monthOf(day));
  const entered = [chosen, today].find((day) => isInSight(day)) ?? `${last}-01`;
  return [
    el(
      'div',
      { class: 'calendar' },
      months.map((month) => monthTable(month, days, today, chosen, entered)),
    ),
    el(
      'ul',
      { class: 'legend', 'aria-hidden': 'true' },
      SIGNS.map(([outcome, sign, words]) =>
        el('li', {}, el('span', { class: `cell is-${outcome}` }, el('span', { class: 'sign' }, sign)), words),
      ),
    ),
  ];
}

function monthTable(month, days, today, chosen, entered) {
  const title = new Intl.DateTimeFormat('en-GB', { month: 'long', year: 'numeric', timeZone: 'UTC' }).format(
    new Date(`${month}-15T00:00:00Z`),
  );
  return el(
    'div',
    { class: 'month', 'data-key': month },
    el(
      'table',
      { role: 'grid', 'aria-label': title },
      el('caption', {}, title),
      el(
        'thead',
        {},
        el(
          'tr',
          {},
          WEEKDAYS.map((name) => el('th', { scope: 'col', abbr: name }, name.slice(0, 2))),
        ),
      ),
      el(
        'tbody',
        {},
        weeksOf(month).map((week) =>
          el(
            'tr',
            {},
            week.map((day) =>
              day === null
                ? el('td', {})
                : el('td', { role: 'gridcell' }, cell(day, days.get(day), today, chosen, entered)),
            ),
          ),
        ),
      ),
    ),
  );
}

function cell(day, told, today, chosen, entered) {
  const outcome = shownOutcome(told?.counts);
  const sign = SIGNS.find(([name]) => name === outcome)?.[1];
  const classes = [
    'cell',
    outcome ? `is-${outcome}` : 'is-empty',
    day === today && 'is-today',
    day > today && 'is-to-come',
  ];
  return el(
    'button',
    {
      type: 'button',
      class: classes.filter(Boolean).join(' '),
      'data-action': 'day',
      'data-day': day,
      'data-outcome': outcome,
      tabindex: day === entered ? 0 : -1,
      'aria-pressed': String(day === chosen),
      'aria-label': words(day, told),
    },
    el('span', { class: 'date' }, String(Number(day.slice(8)))),
    el('span', { class: 'sign' }, sign ?? ''),
  );
}

function words(day, told) {
  const date = instant(`${day}T12:00:00Z`, 'UTC', 'day');
  if (!told) return `${date}: no task`;
  const parts = SIGNS.filter(([outcome]) => told.counts[outcome]).map(
    ([outcome, , name]) => `${told.counts[outcome]} ${name}`,
  );
  return `${date}: ${count(told.tasks.length, 'task')}, ${parts.join(', ')}`;
}
