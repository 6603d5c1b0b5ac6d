// The window in which a restore is asked for: what is known already, where to is not.

import { command } from './api.js';
import { openDialog } from './dialog.js';
import { el } from './dom.js';
import { notice, sentence } from './notices.js';
import { go } from './routes.js';

/** Lets a person restore a snapshot, a folder or a file of it. */
export function restore({ repository, snapshot, path, title }, setup) {
  return openDialog('restore', `Restore ${title}`, (close) => {
    if (!setup.restore_roots.length) return noRoots(close);
    const form = el(
      'form',
      { class: 'stack', method: 'dialog', novalidate: true },
      rows(setup.restore_roots),
      el(
        'div',
        { class: 'dialog-actions' },
        el('button', { type: 'button', 'data-cancel': true }, 'Cancel'),
        el('button', { type: 'submit', class: 'primary' }, 'Restore'),
      ),
    );
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = form.querySelector('[type=submit]');
      button.disabled = true;
      const target = { folder: targetOf(form.elements.root.value, form.elements.below.value) };
      const wanted = { repository, snapshot, path, target, verify: form.elements.verify.checked };
      try {
        await command('perform-restore', { restore: wanted });
        notice(`${sentence(title)} is being restored to ${target.folder}.`, 'running');
        close(true);
        go('#/tasks');
      } catch (refusal) {
        const words = [refusal.message, refusal.hint].filter(Boolean).map(sentence).join('. ');
        form.querySelector('#restore-error').textContent = words;
        button.disabled = false;
      }
    });
    form.querySelector('[data-cancel]').addEventListener('click', () => close());
    return [form];
  });
}

/** The folder below a root; `..` and empty steps count for nothing, the daemon has the last word. */
export function targetOf(root, below) {
  const steps = below.split('/').filter((step) => step !== '' && step !== '.' && step !== '..');
  return [root.replace(/\/+$/, ''), ...steps].join('/') || '/';
}

function rows(roots) {
  return [
    el(
      'div',
      { class: 'field' },
      el('label', { for: 'restore-root' }, 'Restore root'),
      el(
        'select',
        { id: 'restore-root', name: 'root' },
        roots.map((root) => el('option', { value: root }, root)),
      ),
    ),
    el(
      'div',
      { class: 'field' },
      el('label', { for: 'restore-below' }, 'Folder below it'),
      el('input', {
        id: 'restore-below',
        name: 'below',
        value: suggestion(new Date()),
        spellcheck: 'false',
        autocomplete: 'off',
        'aria-describedby': 'restore-hint restore-error',
      }),
      el(
        'p',
        { class: 'hint', id: 'restore-hint' },
        'It is made if it is not there. Files in it that are right already are left as they are.',
      ),
      el('p', { class: 'field-error', id: 'restore-error', role: 'alert' }),
    ),
    el(
      'label',
      { class: 'check' },
      el('input', { type: 'checkbox', name: 'verify', checked: true }),
      ' Read back and compare what was written',
    ),
  ];
}

function suggestion(now) {
  const two = (value) => String(value).padStart(2, '0');
  return `restored-${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}`;
}

function noRoots(close) {
  const button = el('button', { type: 'button', class: 'primary' }, 'Close');
  button.addEventListener('click', () => close());
  return [
    el(
      'p',
      {},
      'The daemon may not write anywhere yet. Name folders below which it may in the configuration file, like ',
      el('code', {}, 'restore_roots = ["/srv/restored"]'),
      ', or restore with ',
      el('code', {}, 'keepwell restore'),
      '.',
    ),
    el('div', { class: 'dialog-actions' }, button),
  ];
}
