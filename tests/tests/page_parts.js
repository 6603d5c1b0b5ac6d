// Tables of cases for the page's pure parts, run inside the browser. Gives a list of what is not as it should be.

const done = arguments[arguments.length - 1];

const failures = [];
const same = (what, given, expected) => {
  const [one, other] = [given, expected].map((value) => JSON.stringify(value));
  if (one !== other) failures.push(`${what}: ${one} instead of ${other}`);
};

async function quantities() {
  const { bytes, span, distance, dayOf, instant, knownZone } = await import('/page/quantities.js');
  for (const [count, text] of [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [15_000, '14.6 KiB'],
    [1 << 20, '1.00 MiB'],
    [1023 * 1024, '1.00 MiB'],
    [5e13, '45.5 TiB'],
  ]) {
    same(`bytes(${count})`, bytes(count), text);
  }
  for (const [seconds, text] of [
    [0, '0 s'],
    [0.2, '<1 s'],
    [59, '59 s'],
    [60, '1 min'],
    [200, '3 min 20 s'],
    [3600, '1 h'],
    [7500, '2 h 5 min'],
    [90_000, '1 d 1 h'],
    [-3, '0 s'],
  ]) {
    same(`span(${seconds})`, span(seconds), text);
  }
  for (const [ms, text] of [
    [0, 'now'],
    [4000, 'now'],
    [90_000, 'in 1 min'],
    [-30_000, '30 s ago'],
    [86_400_000 * 5, 'in 5 days'],
    [-86_400_000 * 2, '2 days ago'],
  ]) {
    same(`distance(${ms})`, distance(ms), text);
  }
  same(
    'a day in a zone',
    ['Asia/Tokyo', 'America/New_York'].map((zone) => dayOf('2026-11-25T23:30:00Z', zone)),
    ['2026-11-26', '2026-11-25'],
  );
  same('an instant in a zone', instant('2026-07-01T00:00:00Z', 'Europe/Berlin'), 'Wed 1 Jul, 02:00');
  same('a zone that no browser knows', knownZone('Nowhere/Atlantis'), undefined);
}

async function questions() {
  const { Question, whileShown } = await import('/page/question.js');
  const asked = [];
  let changes = 0;
  const question = new Question(() => (changes += 1));
  const ask = (key, topic) =>
    question.ask(key, (signal) => new Promise((answer) => asked.push({ key, signal, answer })), topic);
  const closed = () => asked.map(({ key, signal }) => [key, signal.aborted]);
  whileShown(() => ask('a', 'one'));
  whileShown(() => ask('a', 'one'));
  same('asked once for a key', closed(), [['a', false]]);
  whileShown(() => ask('b', 'one'));
  same('another key closes the former', closed(), [['a', true], ['b', false]]);
  asked[0].answer('late');
  asked[1].answer('b itself');
  await new Promise((resolve) => setTimeout(resolve));
  same('the newest answer wins', [question.answer, question.isAsked, changes], ['b itself', false, 1]);
  whileShown(() => {});
  same('an answer that is there is closed by nothing', closed(), [['a', true], ['b', false]]);
  whileShown(() => ask('c', 'one'));
  same('an answer of the topic stays in sight', question.answer, 'b itself');
  whileShown(() => {});
  same('who goes away closes it', [closed()[2], question.isAsked], [['c', true], false]);
  whileShown(() => ask('c', 'one'));
  same('who comes back asks again', closed()[3], ['c', false]);
  question.forget();
  same('what is forgotten is closed', closed()[3], ['c', true]);
}

async function frames() {
  const { Frames, waitMs } = await import('/page/stream.js');
  const text =
    'retry: 1000\n: welcome\n\nevent: task-created\nid: 17\ndata: {"a":"é"}\n\n: still here\n\ndata: one\ndata:two\n\n';
  const expected = [
    { event: 'task-created', data: '{"a":"é"}', id: '17' },
    { event: 'message', data: 'one\ntwo', id: null },
  ];
  for (const size of [1, 2, 7, text.length]) {
    const cut = new Frames();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...cut.push(text.slice(at, at + size)));
    same(`frames in pieces of ${size}`, found, expected);
  }
  same(
    'waits grow to an end',
    [0, 1, 4, 5, 60].map((attempts) => waitMs(attempts, 1)),
    [500, 1000, 8000, 15_000, 15_000],
  );
  same('waits are spread', waitMs(2, 0), 1500);
}

const task = (id, more = {}) => ({
  id,
  kind: { backup: 'docs' },
  trigger: 'manual',
  state: 'running',
  pending: null,
  attempt: 1,
  attempts_max: 4,
  created: '2026-11-25T10:00:00Z',
  changed: '2026-11-25T10:00:01Z',
  end: null,
  progress: null,
  ...more,
});
const counters = {
  stage: 'compressing',
  paused: false,
  files_done: 45,
  files_total: 100,
  bytes_done: 45,
  bytes_total: 100,
  totals_final: true,
  bytes_new: 0,
  bytes_stored: 3 << 20,
  errors: 0,
  bytes_per_second: 10,
  seconds_left: 5,
};
const retry = { attempt: 2, attempts_max: 4, at: '2026-11-25T10:01:00Z', class: 'network', why: 'gone' };

async function state() {
  const { NOTHING_KNOWN, statusOf, withEvent, withLoaded, withProgress, withTask } = await import('/page/state.js');
  const loaded = withLoaded(NOTHING_KNOWN, {
    tasks: { tasks: [task('a', { state: 'paused', progress: { ...counters, paused: true } })] },
    stats: { globally_paused: false },
    items: { items: [] },
    setup: { now: 'x' },
    history: { tasks: [] },
  });
  same(
    'a task that stood still before is told as it was',
    loaded.tasks.get('a').shown.message,
    'Compressing: 45/100 files (45%)',
  );
  same('its percentage is that of the whole', loaded.tasks.get('a').shown.percent, 42);
  let number = 0;
  const after = (from, ...events) =>
    events.reduce((now, event) => withEvent(now, { number: ++number, at: '2026-11-25T10:00:02Z', event }), from);
  const status = (now, id) => statusOf(now.tasks.get(id).task);
  const created = after(loaded, { 'task-created': { task: 'b', kind: { backup: 'x' }, trigger: 'manual' } });
  same('a new task waits', status(created, 'b'), 'queued');
  const running = after(created, { 'task-status-update': { task: 'b', from: 'pending', to: 'running', attempt: 1 } });
  same('it runs', status(running, 'b'), 'running');
  const moved = withProgress(running, {
    task: 'b',
    attempt: 1,
    message: 'm',
    percent: 3,
    stage: 'compressing',
    paused: false,
    progress: counters,
  });
  same('progress is taken in', moved.tasks.get('b').shown.percent, 3);
  const failed = after(
    moved,
    { 'task-status-update': { task: 'b', from: 'running', to: 'pending', attempt: 1 } },
    { 'task-retry': { task: 'b', retry } },
  );
  same(
    'a failed attempt is retried',
    [status(failed, 'b'), failed.tasks.get('b').retry.attempt, failed.tasks.get('b').task.attempts_max],
    ['retrying', 2, 4],
  );
  same('late progress of it is nothing', withProgress(failed, { task: 'b', attempt: 1, percent: 90 }) === failed, true);
  const paused = after(failed, { 'task-paused': { task: 'b' } });
  same('a task that waits can be paused', status(paused, 'b'), 'paused');
  const resumed = after(paused, { 'task-resumed': { task: 'b' } });
  same('and waits for the same attempt then', [status(resumed, 'b'), [...resumed.wants.tasks]], ['retrying', []]);
  const second = after(resumed, { 'task-status-update': { task: 'b', from: 'pending', to: 'running', attempt: 2 } });
  same('the second attempt begins anew', [second.tasks.get('b').shown, second.tasks.get('b').retry], [null, null]);
  const waits = after(second, { 'task-queued': { task: 'b', reason: 'waiting-for-network' } });
  same('waiting for the network is shown as retrying', status(waits, 'b'), 'retrying');
  const end = { failed: { class: 'network', why: 'gone' } };
  const ended = after(waits, { 'task-failed': { task: 'b', end } });
  same(
    'an end is kept in sight',
    [ended.tasks.has('b'), ended.ended[0].state, ended.ended[0].end],
    [false, 'failed', end],
  );
  same(
    'an event that was seen changes nothing',
    withEvent(ended, { number, at: '', event: { 'task-created': {} } }) === ended,
    true,
  );
  same(
    'an event of another kind only counts',
    after(ended, { 'actor-restarted': { actor: 'manager' } }).number,
    number,
  );
  const unknown = after(loaded, { 'task-status-update': { task: 'a', from: 'paused', to: 'pending', attempt: 1 } });
  same('what no event tells is asked for', [...unknown.wants.tasks], ['a']);
  const { number: seen } = unknown.tasks.get('a');
  same(
    'and taken in',
    status(withTask(unknown, task('a', { state: 'pending', pending: 'paused' }), seen), 'a'),
    'paused',
  );
  same('unless something happened since', [...withTask(unknown, task('a'), seen - 1).wants.tasks], ['a']);
  const six = Array.from({ length: 9 }, (_, index) => ({
    'task-completed': { task: `t${index}`, end: { 'backed-up': {} } },
  }));
  const many = six.reduce(
    (now, event, index) =>
      after(after(now, { 'task-created': { task: `t${index}`, kind: { backup: 'x' }, trigger: 'manual' } }), event),
    loaded,
  );
  same(
    'only the last ends stay',
    many.ended.map(({ id }) => id),
    ['t8', 't7', 't6', 't5', 't4', 't3'],
  );
  same('global pause', after(loaded, { 'global-pause': { paused: true } }).stats.globally_paused, true);
}

async function calendar() {
  const { dayAfter, monthsBefore, outcomesByDay, shownOutcome, weeksOf } = await import('/page/calendar.js');
  same(
    'months across a year',
    [0, 1, 2, 14].map((back) => monthsBefore('2026-01', back)),
    ['2026-01', '2025-12', '2025-11', '2024-11'],
  );
  same(
    'days across months',
    [dayAfter('2026-02-28', 1), dayAfter('2024-02-28', 1), dayAfter('2026-01-01', -1)],
    ['2026-03-01', '2024-02-29', '2025-12-31'],
  );
  same(
    'weeks begin on Monday',
    [weeksOf('2026-11')[0], weeksOf('2026-11').length],
    [[null, null, null, null, null, null, '2026-11-01'], 6],
  );
  same(
    'a February of four weeks',
    weeksOf('2027-02').map((week) => week.length),
    [7, 7, 7, 7],
  );
  const ends = [
    task('1', { state: 'completed', end: { 'backed-up': { errors: 0 } } }),
    task('2', { state: 'completed', end: { 'backed-up': { errors: 2 } } }),
    task('3', { state: 'failed', end: { failed: {} } }),
    task('4', { state: 'cancelled', end: { cancelled: 'requested' } }),
  ];
  same('what happened on a day', outcomesByDay(ends, 'UTC').get('2026-11-25').counts, {
    completed: 1,
    troubled: 1,
    failed: 1,
    cancelled: 1,
  });
  for (const [counts, outcome] of [
    [{ completed: 3, failed: 1 }, 'failed'],
    [{ completed: 3, troubled: 1 }, 'troubled'],
    [{ completed: 1, cancelled: 4 }, 'completed'],
    [{}, null],
  ]) {
    same(`a day of ${JSON.stringify(counts)}`, shownOutcome(counts), outcome);
  }
}

async function forms() {
  const { fieldOf, fieldsOf, itemOf, mistakesIn } = await import('/page/item_form.js');
  const setup = { time_zone: 'Europe/Berlin', repositories: [{ name: 'cellar' }] };
  const items = [
    {
      id: 'docs',
      source: { files: { paths: ['/a b', '/c'], excludes: ['*.tmp'] } },
      repository: 'cellar',
      schedule: { spec: 'every 4h', time_zone: 'UTC', jitter_seconds: 90 },
      enabled: false,
      tags: ['x', 'y'],
    },
    { id: 'db', source: { firebird: 'books:1' }, repository: 'cellar', schedule: null, enabled: true, tags: [] },
    {
      id: 'wiki',
      source: { named: 'wiki' },
      repository: 'cellar',
      schedule: { spec: 'daily 02:00', time_zone: 'UTC', jitter_seconds: null },
      enabled: true,
      tags: [],
    },
  ];
  for (const item of items) same(`${item.id} through the form`, itemOf(fieldsOf(item, setup)), item);
  const fresh = fieldsOf(null, setup);
  same('what is missing', Object.keys(mistakesIn(fresh, [])), ['id', 'paths']);
  same('what is wrong', Object.keys(mistakesIn({ ...fresh, id: 'docs', paths: 'home', jitter: '1.5' }, ['docs'])), [
    'id',
    'paths',
    'jitter',
  ]);
  same('nothing is wrong', mistakesIn({ ...fresh, id: 'docs', paths: '/home' }, []), {});
  for (const [message, field] of [
    ['item path names no path', 'paths'],
    ['item x has the path y; write it from / on', 'paths'],
    ['there is no zone "Mars"', 'time_zone'],
    ['"dayly" is no schedule: write', 'spec'],
    ['item x names no repository', 'repository'],
    ["an item's id holds no '/'", 'id'],
    ['the journal is full', 'form'],
  ])
    same(message, fieldOf(message, 'x'), field);
}

async function others() {
  const { hashOf, routeOf } = await import('/page/routes.js');
  const route = routeOf(hashOf('snapshots', ['a/b', 'c?d'], { path: '/x y/&', none: null }));
  same(
    'a route there and back',
    [route.view, route.parts, route.query.get('path'), route.query.has('none')],
    ['snapshots', ['a/b', 'c?d'], '/x y/&', false],
  );
  same('no route', routeOf('').view, 'tasks');
  same('a route that is none', routeOf('#/items/%E0%A4%A').parts, ['%E0%A4%A']);
  const { modeWords } = await import('/page/folder.js');
  same('modes', [0o755, 0o640, 0o4755, 0o1777, 0o2644].map(modeWords), [
    'rwxr-xr-x',
    'rw-r-----',
    'rwsr-xr-x',
    'rwxrwxrwt',
    'rw-r-Sr--',
  ]);
  const { targetOf } = await import('/page/restore.js');
  same('no way out of a restore root', targetOf('/srv/', '../../etc//x/./y'), '/srv/etc/x/y');
  const { sparks } = await import('/page/sparkline.js');
  const bars = sparks([
    task('2', { state: 'failed', end: { failed: {} } }),
    task('1', { state: 'completed', end: { 'backed-up': { bytes: 10, errors: 0 } } }),
  ]);
  same(
    'the oldest stands first',
    bars.map(({ kind }) => kind),
    ['completed', 'failed'],
  );
  const { show, el } = await import('/page/dom.js');
  const root = el('div');
  show(root, el('p', { 'data-key': 'a' }, '<b>no markup</b>'), el('p', { 'data-key': 'b' }, 'two'));
  const [first, second] = root.children;
  show(root, el('p', { 'data-key': 'b' }, 'two'), null, el('p', { 'data-key': 'a', class: 'x' }, 'one'));
  same(
    'what stays is the same element',
    [root.children[0] === second, root.children[1] === first, first.className, first.textContent],
    [true, true, 'x', 'one'],
  );
  show(root, 'text', el('p', { 'data-key': 'b' }, '<img src=x>'));
  same(
    'data is no markup',
    [root.childNodes.length, root.querySelector('img'), second.textContent],
    [2, null, '<img src=x>'],
  );
}

Promise.allSettled([quantities(), questions(), frames(), state(), calendar(), forms(), others()]).then((results) => {
  for (const { reason } of results) if (reason) failures.push(String(reason.stack ?? reason));
  done(failures);
});
