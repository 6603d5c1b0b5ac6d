// Keeps the state true: the line of events is opened first, then all is asked for, then the events that came
// meanwhile are taken in. So nothing falls between answer and event, and nothing is asked for again and again.

import { command } from './api.js';
import { setTime } from './clock.js';
import { announce } from './notices.js';
import { STATUS_WORDS, endWords, titleOf } from './outcomes.js';
import {
  ENDED_KEPT,
  NOTHING_KNOWN,
  isWanting,
  withEvent,
  withLoaded,
  withProgress,
  withTask,
  withWants,
  withoutWants,
} from './state.js';
import { change, current } from './store.js';
import { Stream } from './stream.js';

/** What events bring with them is asked for together, not event by event. */
const SETTLE_MS = 120;
const ASK_AGAIN_MS = 2_000;

/** A browser opens few connections to one place, and a page that nobody sees needs none. */
const UNSEEN_MS_MAX = 60_000;

let stream = null;
/** What was told while all was asked for; null while everything is taken in as it comes. */
let waiting = null;
let loading = 0;
let settling = null;
/** Which asking is the newest: its answer counts. */
const newest = { stats: 0, items: 0, setup: 0 };

/** Goes live; `askForLogin` is called when the daemon wants its token. */
export function startLive(askForLogin) {
  const leave = () => {
    stream.stop();
    askForLogin();
  };
  const told = {
    opened: () => load(leave),
    event: (event) => take('event', event),
    progress: (progress) => take('progress', progress),
    missed: () => load(leave),
    lost: (wait) => lost(wait),
    refused: leave,
  };
  if (!stream) {
    stream = new Stream(told, () => current().number);
    document.addEventListener('visibilitychange', restUnseen);
  }
  stream.start();
}

let unseen = null;

/** Lets go of the line when nobody has looked for a while; whoever looks again is told what happened meanwhile. */
function restUnseen() {
  clearTimeout(unseen);
  if (current().isLoggedIn === false) return;
  if (document.hidden) {
    unseen = setTimeout(() => stream.stop(), UNSEEN_MS_MAX);
  } else if (!stream.isUp) {
    stream.start();
  }
}

/** Lets go of the daemon and forgets what it told. */
export function stopLive() {
  stream?.stop();
  loading += 1;
  waiting = null;
  change(() => ({ ...NOTHING_KNOWN, isLoggedIn: false }));
}

/** Does not wait for the next attempt. */
export function reconnectNow() {
  stream?.retryNow();
}

function lost(wait) {
  loading += 1;
  waiting = [];
  change((state) => ({ ...state, connection: { status: 'lost', retryAt: Date.now() + wait } }));
}

async function load(leave) {
  const mine = ++loading;
  waiting ??= [];
  change((state) => ({ ...state, connection: { status: 'connecting', retryAt: null } }));
  for (;;) {
    try {
      const loaded = await ask();
      if (mine !== loading) return;
      if (loaded.isOtherJournal) {
        change((state) => ({ ...state, number: null }));
        return stream.renew();
      }
      setTime(loaded.setup.now);
      change((state) => ({ ...withLoaded(state, loaded), connection: { status: 'live', retryAt: null } }));
      return release();
    } catch (refusal) {
      if (mine !== loading) return;
      if (refusal.needsLogin) return leave();
      change((state) => ({ ...state, trouble: refusal }));
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
      if (mine !== loading) return;
    }
  }
}

async function ask() {
  const { number } = current();
  const [tasks, stats, items, setup, history, events] = await Promise.all([
    command('get-active-tasks'),
    command('get-task-manager-stats'),
    command('get-items'),
    command('get-setup'),
    command('get-history', { item: null, limit: ENDED_KEPT }),
    number ? command('get-events', { after: number - 1, limit: 1 }) : null,
  ]);
  // The last event that we saw is in the journal, or too old to be kept. Else it is another journal, which counts anew.
  const isOtherJournal = events !== null && events.events.length === 0 && events.oldest_kept <= number;
  return { tasks, stats, items, setup, history, isOtherJournal };
}

function release() {
  const told = waiting ?? [];
  waiting = null;
  for (const [kind, value] of told) takeNow(kind, value);
}

function take(kind, value) {
  if (waiting) waiting.push([kind, value]);
  else takeNow(kind, value);
}

function takeNow(kind, value) {
  if (kind === 'progress') return change((state) => withProgress(state, value));
  const before = current();
  change((state) => withEvent(state, value));
  tell(before, value.event);
  if (isWanting(current())) settling ??= setTimeout(settle, SETTLE_MS);
}

/** Outcomes are said aloud; progress is not. */
function tell(before, event) {
  const [name, told] = Object.entries(event)[0];
  const entry = told.task && before.tasks.get(told.task);
  if (!entry) return;
  const title = titleOf(entry.task);
  if (told.end) announce(`${title}: ${STATUS_WORDS[current().ended[0]?.state] ?? 'ended'}. ${endWords(told.end)}`);
  else if (name === 'task-retry')
    announce(`${title}: attempt ${told.retry.attempt} of ${told.retry.attempts_max} follows. ${told.retry.why}`);
  else if (name === 'task-paused') announce(`${title}: paused`);
}

async function settle() {
  settling = null;
  const { wants, tasks } = current();
  change(withoutWants);
  const unknown = [...wants.tasks].filter((id) => tasks.has(id));
  const single = unknown.map(async (id) => {
    const { number } = tasks.get(id);
    const task = await command('get-task', { task: id });
    change((state) => withTask(state, task, number));
  });
  const answers = await Promise.allSettled([
    ...single,
    wants.stats && askNewest('stats', 'get-task-manager-stats', (stats) => stats),
    wants.items && askNewest('items', 'get-items', ({ items }) => items),
    wants.setup && askNewest('setup', 'get-setup', (setup) => setup),
  ]);
  const isUnanswered = answers.some(({ reason }) => reason && isWorthAskingAgain(reason));
  if (isUnanswered) change((state) => withWants(state, wants));
  const next = isUnanswered ? ASK_AGAIN_MS : SETTLE_MS;
  if (isWanting(current())) settling ??= setTimeout(settle, next);
}

async function askNewest(field, name, valueOf) {
  const mine = ++newest[field];
  const answer = await command(name);
  if (mine === newest[field]) change((state) => ({ ...state, [field]: valueOf(answer) }));
}

// A task that is no longer known stays unknown; a daemon that is busy or away does not.
function isWorthAskingAgain({ status }) {
  return status === undefined || status === 0 || status === 429 || status >= 500;
}
