// The way in: the daemon's token, once.

import { login } from './api.js';
import { el, show } from './dom.js';
import { sentence } from './notices.js';

let refusal = null;
let isAsked = false;

/** Shows the form; `entered` is called when the token was right. */
export function showLogin(main, entered) {
  const paint = () => show(main, form());
  main.onsubmit = async (event) => {
    event.preventDefault();
    const field = main.querySelector('#token');
    if (isAsked || !field) return;
    [isAsked, refusal] = [true, null];
    paint();
    try {
      await login(field.value.trim());
      field.value = '';
      main.onsubmit = null;
      entered();
    } catch (error) {
      refusal = error;
    }
    isAsked = false;
    if (refusal) {
      paint();
      field.select();
    }
  };
  paint();
  main.querySelector('#token')?.focus();
}

function form() {
  const isWrong = refusal?.status === 401;
  const why = isWrong ? 'This is not the token.' : refusal && sentence(refusal.message);
  return el(
    'section',
    { class: 'login', 'data-key': 'login', 'aria-labelledby': 'login-title' },
    el('img', { src: '/page/mark.svg', width: 56, height: 56, alt: '' }),
    el('h1', { id: 'login-title' }, 'Keepwell'),
    el(
      'form',
      { class: 'stack' },
      el(
        'div',
        { class: 'field' },
        el('label', { for: 'token' }, 'Token'),
        el('input', {
          id: 'token',
          name: 'token',
          type: 'password',
          required: true,
          autocomplete: 'current-password',
          spellcheck: 'false',
          'aria-describedby': 'token-hint token-error',
          'aria-invalid': refusal ? 'true' : null,
        }),
        el(
          'p',
          { class: 'hint', id: 'token-hint' },
          'It stands in the file ',
          el('code', {}, 'token'),
          ' in the daemon’s data folder. ',
          'This browser is remembered for 30 days.',
        ),
        el('p', { class: 'field-error', id: 'token-error', role: 'alert' }, why),
      ),
      el('button', { type: 'submit', class: 'primary', disabled: isAsked }, isAsked ? 'Signing in…' : 'Sign in'),
    ),
  );
}
