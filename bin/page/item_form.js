// What is typed in the editor, and the item that it is: pure, both ways.

/** An item as the fields of the form; `null` is a new one. */
export function fieldsOf(item, setup) {
  const [only] = setup.repositories;
  return {
    id: item?.id ?? '',
    source: item ? sourceValue(item.source) : 'files',
    paths: (item?.source.files?.paths ?? []).join('\n'),
    excludes: (item?.source.files?.excludes ?? []).join('\n'),
    repository: item?.repository ?? only?.name ?? '',
    tags: (item?.tags ?? []).join(', '),
    spec: item?.schedule?.spec ?? (item ? '' : 'daily 02:00'),
    time_zone: item?.schedule?.time_zone ?? setup.time_zone,
    jitter: item?.schedule?.jitter_seconds ? String(item.schedule.jitter_seconds) : '',
    enabled: item?.enabled ?? true,
  };
}

/** A source as one value of a list: `files`, `firebird:NAME`, `named:NAME`. */
export function sourceValue(source) {
  if (source.files) return 'files';
  return source.firebird === undefined ? `named:${source.named}` : `firebird:${source.firebird}`;
}

/** The schedule that is typed, or null. */
export function scheduleOf({ spec, time_zone, jitter }) {
  if (!spec.trim()) return null;
  const seconds = jitter.trim() === '' ? null : Number(jitter);
  return { spec: spec.trim(), time_zone: time_zone.trim(), jitter_seconds: seconds === 0 ? null : seconds };
}

/** The item that the fields say. */
export function itemOf(fields) {
  const [kind, ...name] = fields.source.split(':');
  const source =
    kind === 'files'
      ? { files: { paths: linesOf(fields.paths), excludes: linesOf(fields.excludes) } }
      : { [kind]: name.join(':') };
  return {
    id: fields.id.trim(),
    source,
    repository: fields.repository,
    schedule: scheduleOf(fields),
    enabled: fields.enabled,
    tags: fields.tags
      .split(',')
      .map((tag) => tag.trim())
      .filter(Boolean),
  };
}

function linesOf(text) {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/** What can be seen to be missing before anybody is asked: messages by field. */
export function mistakesIn(fields, taken) {
  const mistakes = {};
  if (!fields.id.trim()) mistakes.id = 'Give it a name.';
  else if (taken.includes(fields.id.trim())) mistakes.id = 'There is an item of this name.';
  const paths = linesOf(fields.paths);
  if (fields.source === 'files') {
    const wrong = paths.find((path) => !path.startsWith('/'));
    if (!paths.length) mistakes.paths = 'Name at least one path.';
    else if (wrong !== undefined) mistakes.paths = `Write ${wrong} from / on.`;
  }
  if (!fields.repository) mistakes.repository = 'Choose where it goes.';
  const seconds = Number(fields.jitter);
  if (fields.jitter.trim() && !(Number.isInteger(seconds) && seconds >= 0 && seconds < 2 ** 32)) {
    mistakes.jitter = 'Write whole seconds.';
  }
  return mistakes;
}

const FIELD_SIGNS = [
  ['excludes', /exclude|pattern/i],
  ['time_zone', /zone/i],
  ['jitter', /jitter/i],
  ['spec', /schedule|cron|interval|time of day|weekday|month|never due|fires/i],
  ['paths', /path|folder|restore root/i],
  ['repository', /repositor/i],
  ['source', /source|firebird/i],
  ['tags', /\btags?\b/i],
  ['id', /\bid\b|name/i],
];

/** The field that a refusal is about, or `form`. Refusals are words for people; what they mention is what they mean. */
export function fieldOf(message, id) {
  const words = id ? message.replaceAll(`item ${id}`, '') : message;
  return FIELD_SIGNS.find(([, sign]) => sign.test(words))?.[0] ?? 'form';
}
