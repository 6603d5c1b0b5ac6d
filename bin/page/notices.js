// What the page says by itself: a line that goes away, and the same to a screen reader.

import { el, marked } from './dom.js';
import { icon } from './icons.js';

const SHOWN_MS = 7_000;
const NOTICES_MAX = 4;

/** Tells a screen reader, and nobody else. */
export function announce(text) {
  const place = document.getElementById('announcements');
  place.replaceChildren(el('p', {}, text));
}

/** Shows a line for a while; `kind` is a status. */
export function notice(text, kind = 'completed', hint = null) {
  const place = document.getElementById('notices');
  const words = el('div', {}, el('p', {}, marked(text)), hint && el('p', { class: 'quiet' }, marked(hint)));
  const dismiss = el('button', { type: 'button', class: 'plain', 'aria-label': 'Dismiss' }, '×');
  const line = el(
    'div',
    { class: `notice is-${kind}`, role: kind === 'failed' ? 'alert' : null },
    icon(kind),
    words,
    dismiss,
  );
  dismiss.addEventListener('click', () => line.remove());
  place.append(line);
  while (place.children.length > NOTICES_MAX) place.firstChild.remove();
  if (kind !== 'failed') announce(text);
  setTimeout(() => line.remove(), SHOWN_MS);
}

/** Says why something was not done. */
export function noticeRefusal(refusal) {
  notice(sentence(refusal.message), 'failed', refusal.hint && sentence(refusal.hint));
}

/** A message with a capital letter, as it stands alone. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
