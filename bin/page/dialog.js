// Windows over the page: one at a time, closed by Escape, focus back where it was.

import { el } from './dom.js';

/** Opens a dialog of this name with what `fill(close)` gives; resolves with what it was closed with, or null. */
export function openDialog(name, title, fill) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    let result = null;
    const dialog = el('dialog', { class: `dialog ${name}`, 'aria-labelledby': 'dialog-title' });
    const close = (value = null) => {
      result = value;
      dialog.close();
    };
    dialog.append(el('h2', { id: 'dialog-title' }, title), ...fill(close, dialog));
    dialog.addEventListener('close', () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Asks before something that cannot be taken back; resolves with whether to go on. */
export async function confirmed({ title, text, action, keep = 'Keep it' }) {
  const answer = await openDialog('confirm', title, (close) => {
    const no = el('button', { type: 'button', autofocus: true }, keep);
    const yes = el('button', { type: 'button', class: 'danger', 'data-confirm': true }, action);
    no.addEventListener('click', () => close(false));
    yes.addEventListener('click', () => close(true));
    return [el('p', {}, text), el('div', { class: 'dialog-actions' }, no, yes)];
  });
  return answer === true;
}
