// A task's progress in one number and one line, from its counters: for a task that stood still before the page was
// there to be told. The words and numbers are those that the daemon tells with each change.

import { bytes } from './quantities.js';

const READ_AT = 95;
const STORED_AT = 99;
/** What is counted so far may be a small part. */
const UNKNOWN_MAX = 50;

/** What `backup-progress` would tell of these counters. */
export function progressOf(progress) {
  const { stage, paused } = progress;
  const part = partOf(progress);
  return { stage, paused, progress, percent: overall(progress, part), message: messageOf(progress, part) };
}

function partOf({ bytes_done, bytes_total, files_done, files_total }) {
  const [done, total] = bytes_total ? [bytes_done, bytes_total] : [files_done, files_total];
  return total ? Math.floor((Math.min(done, total) * 100) / total) : 0;
}

function overall({ stage, totals_final }, part) {
  switch (stage) {
    case 'compressing':
    case 'restoring':
      return Math.floor((part * (totals_final ? READ_AT : UNKNOWN_MAX)) / 100);
    case 'uploading':
      return READ_AT;
    case 'verifying':
      return STORED_AT;
    default:
      return 0;
  }
}

function messageOf({ stage, files_done, files_total, bytes_stored }, part) {
  const files = `${files_done}/${files_total} files (${part}%)`;
  switch (stage) {
    case 'compressing':
      return `Compressing: ${files}`;
    case 'uploading':
      return `Uploading: ${bytes(bytes_stored)} stored`;
    case 'restoring':
      return `Restoring: ${files}`;
    case 'verifying':
      return `Verifying: ${files}`;
    default:
      return 'Preparing';
  }
}
