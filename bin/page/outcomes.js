// How tasks end, in words, and what to do about it.

import { el } from './dom.js';
import { bytes, count } from './quantities.js';

/** What a person reads of each status. */
export const STATUS_WORDS = {
  running: 'Running',
  queued: 'Queued',
  paused: 'Paused',
  completed: 'Completed',
  failed: 'Failed',
  retrying: 'Retrying',
  cancelled: 'Cancelled',
};

const ADVICE = {
  network: 'See whether this machine reaches the repository’s place; a backup that is due later tries again by itself.',
  server:
    'The place of the repository answered that it cannot serve; its operator knows more. Later backups try again.',
  source: 'See whether what is to be backed up is there, and whether the daemon’s user may read it.',
  repository:
    'Run “keepwell check” on the repository. If it is locked by a program that is gone, run “keepwell unlock”.',
  credentials: 'Correct the repository’s password or credentials in the configuration file, then run it again.',
  space: 'Make room where the repository lies, or on this machine’s disk, then run it again.',
  settings: 'Change what is asked for: the reason names it.',
  crash: 'Run it again. If it happens once more, the daemon’s log says where.',
  cancelled: 'Run it again when you like.',
};

const CANCELLED = {
  requested: 'Somebody cancelled it.',
  shutdown: 'The daemon was shut down; what was due is caught up at its next start.',
  'item-removed': 'Its item was removed.',
};

/** What to do about a failure. */
export function adviceFor(failure) {
  return ADVICE[failure.class] ?? null;
}

/** What a task did or why it ended, in one line. */
export function endWords(end) {
  if (!end) return '';
  const [kind, told] = Object.entries(end)[0];
  switch (kind) {
    case 'backed-up': {
      const errors = told.errors ? `, ${count(told.errors, 'error')}` : '';
      return `${count(told.files, 'file')}, ${bytes(told.bytes)}; ${bytes(told.bytes_stored)} stored${errors}`;
    }
    case 'restored': {
      const same = told.files_unchanged ? `, ${count(told.files_unchanged, 'file')} right already` : '';
      const errors = told.errors ? `, ${count(told.errors, 'error')}` : '';
      return `${count(told.files_restored, 'file')} restored, ${bytes(told.bytes_written)}${same}${errors}`;
    }
    case 'failed':
      return told.why;
    default:
      return CANCELLED[told] ?? 'It was cancelled.';
  }
}

/** Entries that a task could not read or write. */
export function errorsIn(end) {
  return end?.['backed-up']?.errors ?? end?.restored?.errors ?? 0;
}

/** What is added to a status if there were any. */
export function withErrors(end) {
  return errorsIn(end) > 0 && el('span', { class: 'is-troubled' }, ' with errors');
}

/** Bytes that a task's snapshot holds, or that it wrote back; null if it ended otherwise. */
export function bytesIn(end) {
  return end?.['backed-up']?.bytes ?? end?.restored?.bytes_written ?? null;
}

/** What a task is of. */
export function titleOf(task) {
  if (task.kind.backup !== undefined) return task.kind.backup;
  const { path, snapshot } = task.kind.restore;
  return path ? (path.split('/').filter(Boolean).pop() ?? '/') : `snapshot ${snapshot.slice(0, 8)}`;
}

/** The head of an ended task's row: what it is of, how it ended, and `when` in the caller's words. */
export function endedHead(task, when) {
  return el(
    'div',
    { class: 'row-head' },
    el('h3', {}, titleOf(task)),
    el('span', { class: `status is-${task.state}` }, STATUS_WORDS[task.state], withErrors(task.end)),
    el('span', { class: 'quiet' }, when),
  );
}

/** What it does and why, in few words. */
export function purposeOf(task, due) {
  if (task.kind.restore) {
    const { target, repository } = task.kind.restore;
    return `Restore from ${repository} to ${target.folder ?? target.firebird.database}`;
  }
  if (task.trigger === 'manual') return 'Backup, asked for';
  if (task.trigger.due) return `Backup, due ${due(task.trigger.due)}`;
  return `Backup, catching up since ${due(task.trigger['catch-up'].since)}`;
}
