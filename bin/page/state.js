// What the page knows, and how it changes: pure functions from one state to the next.
//
// The daemon's answers are taken in whole (`withLoaded`), events after them by number. Events say how things are,
// not by how much they changed, so one that an answer holds already does no harm. What an event does not tell is
// left in `wants`, and the page asks for it: counts, items, and tasks of which only the name is known.

import { progressOf } from './progress.js';

/** Ended tasks that stay in sight. */
export const ENDED_KEPT = 6;

/** Before anything is known. */
export const NOTHING_KNOWN = Object.freeze({
  connection: { status: 'connecting', retryAt: null },
  isLoggedIn: null,
  isLoaded: false,
  /** How often all was loaded: what was asked for before may be old. */
  loads: 0,
  /** Why it could not be loaded yet. */
  trouble: null,
  number: null,
  tasks: new Map(),
  ended: [],
  lastEnded: 0,
  stats: null,
  items: [],
  setup: null,
  wants: { stats: false, items: false, setup: false, tasks: new Set() },
});

const NO_WANTS = NOTHING_KNOWN.wants;

/** With the daemon's answers about all that there is. */
export function withLoaded(state, { tasks, stats, items, setup, history }) {
  const known = new Map();
  for (const task of tasks.tasks) {
    const before = state.tasks.get(task.id);
    known.set(task.id, entryOf(task, state.number ?? 0, before?.task.attempt === task.attempt ? before.shown : null));
  }
  return {
    ...state,
    isLoggedIn: true,
    isLoaded: true,
    loads: state.loads + 1,
    trouble: null,
    tasks: known,
    ended: history.tasks.slice(0, ENDED_KEPT),
    stats,
    items: items.items,
    setup,
    wants: NO_WANTS,
  };
}

function entryOf(task, number, shown = null) {
  const retry = task.pending?.retry ?? null;
  return { task, retry, number, shown: shown ?? (task.progress ? progressOf(task.progress) : null) };
}

/** With one durable event; an older one than the last changes nothing. */
export function withEvent(state, { number, at, event }) {
  if (state.number !== null && number <= state.number) return state;
  const [name, told] = Object.entries(event)[0];
  const next = CHANGES[name]?.({ ...state, number }, told, { at, number }) ?? { ...state, number };
  return name.startsWith('task-') || name === 'global-pause' || name.startsWith('item-') ? wanting(next, name) : next;
}

function wanting(state, name) {
  const touchesItems = !['task-status-update', 'task-queued'].includes(name);
  const { wants } = state;
  // A configuration that was read again changes items, and may change what they refer to.
  const touchesSetup = name.startsWith('item-');
  return {
    ...state,
    wants: { ...wants, stats: true, items: wants.items || touchesItems, setup: wants.setup || touchesSetup },
  };
}

const CHANGES = {
  'task-created': (state, { task, kind, trigger }, { at, number }) =>
    withEntry(state, {
      task: {
        id: task,
        kind,
        trigger,
        state: 'pending',
        pending: 'queued',
        attempt: 0,
        attempts_max: 0,
        created: at,
        changed: at,
        end: null,
        progress: null,
      },
      retry: null,
      shown: null,
      number,
    }),
  'task-queued': (state, { task, reason }, { number }) =>
    changed(state, task, number, (entry) => ({ task: { ...entry.task, state: 'pending', pending: reason } })),
  'task-status-update': (state, { task, to, attempt, from }, { at, number }) => {
    const next = changed(state, task, number, (entry) => {
      const isSame = entry.task.attempt === attempt;
      return {
        task: { ...entry.task, state: to, attempt, changed: at, pending: to === 'pending' ? entry.task.pending : null },
        retry: to === 'running' ? null : entry.retry,
        shown: isSame && entry.shown ? { ...entry.shown, paused: to === 'paused' } : isSame ? entry.shown : null,
      };
    });
    // A paused task whose worker is gone waits, and no event says for whom.
    return from === 'paused' && to === 'pending' ? asking(next, task) : next;
  },
  'task-retry': (state, { task, retry }, { number }) =>
    changed(state, task, number, (entry) => ({
      task: { ...entry.task, state: 'pending', pending: { retry }, attempts_max: retry.attempts_max },
      retry,
    })),
  'task-paused': (state, { task }, { number }) =>
    changed(state, task, number, (entry) =>
      entry.task.state === 'pending' ? { task: { ...entry.task, pending: 'paused' } } : {},
    ),
  'task-resumed': (state, { task }, { number }) => {
    const next = changed(state, task, number, (entry) =>
      entry.task.state === 'pending' && entry.retry ? { task: { ...entry.task, pending: { retry: entry.retry } } } : {},
    );
    const entry = next.tasks.get(task);
    return entry?.task.state === 'pending' && !entry.retry ? asking(next, task) : next;
  },
  'task-completed': ended,
  'task-failed': ended,
  'task-cancelled': ended,
  'global-pause': (state, { paused }) =>
    state.stats ? { ...state, stats: { ...state.stats, globally_paused: paused } } : state,
  'item-removed': (state, { item }) => ({
    ...state,
    items: state.items.filter((each) => each.item.id !== item),
  }),
};

function ended(state, { task, end }, { at, number }) {
  const entry = state.tasks.get(task);
  const tasks = new Map(state.tasks);
  tasks.delete(task);
  const next = { ...state, tasks, lastEnded: number };
  if (!entry) return next;
  const last = { ...entry.task, state: stateOf(end), pending: null, changed: at, end };
  const others = state.ended.filter((each) => each.id !== task);
  return { ...next, ended: [last, ...others].slice(0, ENDED_KEPT) };
}

function stateOf(end) {
  if ('failed' in end) return 'failed';
  return 'cancelled' in end ? 'cancelled' : 'completed';
}

/** With the newest progress of a task; what a former attempt still says is nothing. */
export function withProgress(state, { task, attempt, message, percent, stage, paused, progress }) {
  const entry = state.tasks.get(task);
  if (!entry || attempt < entry.task.attempt || entry.task.state === 'pending') return state;
  return withEntry(state, { ...entry, shown: { message, percent, stage, paused, progress } });
}

/** With one task as the daemon says that it is, if no event about it came since `number`. */
export function withTask(state, task, number) {
  const entry = state.tasks.get(task.id);
  if (!entry) return state;
  if (entry.number !== number) return asking(state, task.id);
  if (!task.end) return withEntry(state, entryOf(task, number, entry.shown));
  return ended(state, { task: task.id, end: task.end }, { at: task.changed, number: state.number });
}

/** With nothing left to ask for. */
export function withoutWants(state) {
  return { ...state, wants: NO_WANTS };
}

/** With what was asked for in vain. */
export function withWants(state, { stats, items, setup, tasks }) {
  const { wants } = state;
  const all = {
    stats: wants.stats || stats,
    items: wants.items || items,
    setup: wants.setup || setup,
    tasks: new Set([...wants.tasks, ...tasks]),
  };
  return { ...state, wants: all };
}

/** Whether there is anything to ask for. */
export function isWanting({ wants }) {
  return wants.stats || wants.items || wants.setup || wants.tasks.size > 0;
}

function asking(state, task) {
  return { ...state, wants: { ...state.wants, tasks: new Set(state.wants.tasks).add(task) } };
}

function changed(state, id, number, change) {
  const entry = state.tasks.get(id);
  return entry ? withEntry(state, { ...entry, ...change(entry), number }) : state;
}

function withEntry(state, entry) {
  return { ...state, tasks: new Map(state.tasks).set(entry.task.id, entry) };
}

/** One of `running`, `queued`, `paused`, `completed`, `failed`, `retrying`, `cancelled`. */
export function statusOf(task) {
  if (task.state !== 'pending') return task.state;
  if (task.pending === 'paused') return 'paused';
  return task.pending?.retry || task.pending === 'waiting-for-network' ? 'retrying' : 'queued';
}
