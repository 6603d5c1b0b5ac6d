// The window in which an item is made or changed.

import { command } from './api.js';
import { openDialog } from './dialog.js';
import { el } from './dom.js';
import { DueTimesPreview } from './due_times.js';
import { fieldOf, fieldsOf, itemOf, mistakesIn, scheduleOf } from './item_form.js';
import { notice, sentence } from './notices.js';

/** Lets a person make an item, or change `now`. */
export function editItem(now, state) {
  const { setup, items } = state;
  const taken = now ? [] : items.map(({ item }) => item.id);
  const fields = fieldsOf(now?.item ?? null, setup);
  return openDialog('editor', now ? `Edit ${now.item.id}` : 'New item', (close, dialog) => {
    const form = el(
      'form',
      { class: 'stack', novalidate: true, method: 'dialog' },
      rows(fields, setup, now !== null),
      buttons(),
    );
    const preview = new DueTimesPreview(form.querySelector('.preview'), (message) => {
      const isZone = message !== null && /zone/i.test(message);
      tell(form, 'spec', isZone ? null : message);
      tell(form, 'time_zone', isZone ? message : null);
    });
    const typed = () => ({ ...read(form), id: now?.item.id ?? form.elements.id.value });
    const showSource = () => form.classList.toggle('of-files', form.elements.source.value === 'files');
    form.addEventListener('input', (event) => {
      const { name } = event.target;
      tell(form, 'form', null);
      if (['spec', 'time_zone', 'jitter'].includes(name)) preview.update(previewed(typed()));
      if (name !== 'spec' && name !== 'time_zone') tell(form, name, null);
      showSource();
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      save(form, typed(), taken, now === null, close);
    });
    form.querySelector('[data-cancel]').addEventListener('click', () => close());
    showSource();
    preview.update(previewed(fields), true);
    dialog.addEventListener('cancel', () => preview.update(null));
    return [form];
  });
}

// Due times are told without jitter; whether it is a number is told at once.
function previewed(fields) {
  const schedule = scheduleOf({ ...fields, jitter: '' });
  return schedule && { ...schedule, jitter_seconds: null };
}

async function save(form, fields, taken, isNew, close) {
  const mistakes = mistakesIn(fields, taken);
  for (const name of Object.keys(mistakes)) tell(form, name, mistakes[name]);
  const [first] = Object.keys(mistakes);
  if (first) return form.elements[first].focus();
  const button = form.querySelector('[type=submit]');
  button.disabled = true;
  try {
    const item = itemOf(fields);
    await command('set-item', { item });
    notice(`${item.id} is ${isNew ? 'set up' : 'changed'}.`);
    close(item.id);
  } catch (refusal) {
    const name = fieldOf(refusal.message, fields.id);
    const place = form.querySelector(`#${name}-error`) && form.elements[name] ? name : 'form';
    tell(
      form,
      place,
      [sentence(refusal.message), refusal.hint && ` ${sentence(refusal.hint)}`].filter(Boolean).join('.'),
    );
    form.elements[place]?.focus();
  }
  button.disabled = false;
}

function read(form) {
  const value = (name) => form.elements[name]?.value ?? '';
  const names = ['source', 'paths', 'excludes', 'repository', 'tags', 'spec', 'time_zone', 'jitter'];
  return { ...Object.fromEntries(names.map((name) => [name, value(name)])), enabled: form.elements.enabled.checked };
}

/** Says what is wrong beside its field, or that nothing is. */
function tell(form, name, message) {
  const place = form.querySelector(`#${name}-error`);
  if (place) place.textContent = message ?? '';
  const input = form.elements[name];
  if (!input?.setAttribute) return;
  if (message) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}

function rows(fields, setup, isKnown) {
  const sources = [
    ['files', 'Files and folders'],
    ...setup.sources.map(({ name, kind }) => [
      `${kind === 'firebird' ? 'firebird' : 'named'}:${name}`,
      kind === 'firebird' ? `Firebird database ${name}` : `Source ${name}`,
    ]),
  ];
  if (!sources.some(([value]) => value === fields.source))
    sources.push([fields.source, fields.source.replace(':', ' ')]);
  const repositories = setup.repositories.map(({ name, location }) => [name, `${name} (${location})`]);
  const zones = el(
    'datalist',
    { id: 'zones' },
    Intl.supportedValuesOf('timeZone').map((zone) => el('option', { value: zone })),
  );
  const pair = (...children) => el('div', { class: 'pair' }, children);
  const plain = { autocomplete: 'off', spellcheck: 'false' };
  return [
    pair(
      field('id', 'Name', el('input', { value: fields.id, maxlength: 128, disabled: isKnown, ...plain })),
      field('repository', 'Repository', select(repositories, fields.repository)),
    ),
    field('source', 'Source', select(sources, fields.source)),
    el(
      'div',
      { class: 'pair only-files' },
      field(
        'paths',
        'Paths',
        el('textarea', { rows: 3, placeholder: '/home/me/Documents', ...plain }, fields.paths),
        'One a line, from / on. The daemon reads them as its own user.',
      ),
      field(
        'excludes',
        'Leave out',
        el('textarea', { rows: 3, placeholder: '*.tmp', ...plain }, fields.excludes),
        'Patterns, one a line.',
      ),
    ),
    el(
      'fieldset',
      { class: 'schedule' },
      el('legend', {}, 'Schedule'),
      pair(
        el(
          'div',
          { class: 'stack' },
          field(
            'spec',
            'When',
            el('input', { value: fields.spec, ...plain }),
            '“daily 02:00”, “every 4h”, “weekly sun 03:30”, “monthly 1 04:00” or a cron line. Empty: only when asked.',
          ),
          field('time_zone', 'Time zone', el('input', { value: fields.time_zone, list: 'zones', ...plain })),
          field(
            'jitter',
            'Starts within so many seconds',
            el('input', { value: fields.jitter, inputmode: 'numeric', placeholder: '0', ...plain }),
          ),
        ),
        el('div', { class: 'preview', 'aria-live': 'polite' }),
      ),
    ),
    field('tags', 'Tags', el('input', { value: fields.tags, ...plain }), 'Separated by commas.'),
    el(
      'label',
      { class: 'check' },
      el('input', { type: 'checkbox', name: 'enabled', checked: fields.enabled }),
      ' Runs by its schedule',
    ),
    el('p', { class: 'field-error', id: 'form-error', role: 'alert' }),
    zones,
  ];
}

function select(options, value) {
  return el(
    'select',
    { 'data-value': value },
    options.map(([name, words]) => el('option', { value: name }, words)),
  );
}

function field(name, label, input, hint = null) {
  input.id = `field-${name}`;
  input.name = name;
  input.setAttribute('aria-describedby', [hint && `${name}-hint`, `${name}-error`].filter(Boolean).join(' '));
  return el(
    'div',
    { class: 'field' },
    el('label', { for: input.id }, label),
    input,
    hint && el('p', { class: 'hint', id: `${name}-hint` }, hint),
    el('p', { class: 'field-error', id: `${name}-error` }),
  );
}

function buttons() {
  return el(
    'div',
    { class: 'dialog-actions' },
    el('button', { type: 'button', 'data-cancel': true }, 'Cancel'),
    el('button', { type: 'submit', class: 'primary' }, 'Save'),
  );
}
