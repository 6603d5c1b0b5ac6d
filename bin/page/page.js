// Begins the page: the views, the way between them, and who may see them.

import { logout, whenLoginIsNeeded } from './api.js';
import { startTicking } from './clock.js';
import { el, show } from './dom.js';
import { showHeader, startHeader } from './header.js';
import { HISTORY } from './history.js';
import { ITEMS } from './items.js';
import { startLive, stopLive } from './live.js';
import { showLogin } from './login.js';
import { noticeRefusal, sentence } from './notices.js';
import { whileShown } from './question.js';
import { routeOf } from './routes.js';
import { SNAPSHOTS } from './snapshots.js';
import { change, current, onPaint, repaint } from './store.js';
import { TASKS } from './tasks.js';

const VIEWS = { tasks: TASKS, items: ITEMS, snapshots: SNAPSHOTS, history: HISTORY };
const header = document.getElementById('header');
const main = document.getElementById('main');
/** The element of the view that is shown. */
let stage = null;
/** What of the state the view has shown: as long as that is the same, it has nothing new to show. */
let shown = [];

function paint(isWhole) {
  const state = current();
  const route = routeOf(location.hash);
  showHeader(header, state, route);
  if (state.isLoggedIn === false) return;
  const view = VIEWS[route.view];
  if (!state.isLoaded) {
    return replaceStage('loading', (root) => show(root, el('p', { class: 'empty' }, loadingWords(state))));
  }
  if (!view) {
    return replaceStage('nowhere', (root) =>
      show(
        root,
        el(
          'div',
          { class: 'empty' },
          el('h1', {}, 'There is no such view'),
          el('p', {}, el('a', { href: '#/tasks' }, 'Go to the active tasks')),
        ),
      ),
    );
  }
  document.title = `${view.title} · Keepwell`;
  const seen = view.sees(state);
  const isSame = stage?.dataset.stage === route.view && seen.every((value, index) => value === shown[index]);
  if (isSame && !isWhole) return;
  shown = seen;
  replaceStage(route.view, (root) => view.show(root, route, state), view);
}

function loadingWords({ connection, trouble }) {
  if (connection.status === 'lost') return 'The daemon cannot be reached. The page goes on when it answers.';
  return trouble ? `${sentence(trouble.message)}. The page asks again by itself.` : 'Loading…';
}

/** A view that is entered gets a new element, and listens to it. */
function replaceStage(name, fill, view = null) {
  if (stage?.dataset.stage !== name) {
    stage = el('div', { class: `view ${name}`, 'data-stage': name });
    main.replaceChildren(stage);
    view?.enter?.(stage);
  }
  whileShown(() => fill(stage));
}

function askForLogin() {
  if (current().isLoggedIn === false) return;
  stage = null;
  stopLive();
  main.replaceChildren();
  whileShown(() => {});
  showLogin(main, () => {
    main.replaceChildren();
    change((state) => ({ ...state, isLoggedIn: null }));
    startLive(askForLogin);
  });
}

async function signOut() {
  try {
    await logout();
    askForLogin();
  } catch (refusal) {
    noticeRefusal(refusal);
  }
}

document.getElementById('skip').addEventListener('click', () => main.focus());
addEventListener('hashchange', () => {
  scrollTo(0, 0);
  repaint();
});
whenLoginIsNeeded(askForLogin);
startHeader(header, signOut);
onPaint(paint);
startTicking();
repaint();
startLive(askForLogin);
