// Bytes, counts, times and spans in words.

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** Three digits and a unit of 1024. */
export function bytes(count) {
  if (count < 1024) return `${count} B`;
  let value = count / 1024;
  let unit = 0;
  while (value >= 1000 && unit + 1 < UNITS.length) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

const NUMBER = new Intl.NumberFormat('en');

/** `1 file`, `1,200 files`. */
export function count(number, one, many = `${one}s`) {
  return `${NUMBER.format(number)} ${number === 1 ? one : many}`;
}

/** `1,200`. */
export function number(value) {
  return NUMBER.format(value);
}

/** `<1 s`, `4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`: at most two units. */
export function span(seconds) {
  if (seconds > 0 && seconds < 1) return '<1 s';
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(' ');
}

/** `in 4 min`, `3 h ago`, `now`: one unit, as a glance takes in. */
export function distance(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 5) return 'now';
  const text =
    seconds < 3600 * 48 ? span(seconds).split(' ').slice(0, 2).join(' ') : `${Math.round(seconds / 86_400)} days`;
  return ms > 0 ? `in ${text}` : `${text} ago`;
}

/** A name of a zone that this browser knows, or its own. */
export function knownZone(zone) {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return zone;
  } catch {
    return undefined;
  }
}

const SHAPES = {
  instant: { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' },
  full: {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  },
  dated: { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' },
  clock: { hour: '2-digit', minute: '2-digit' },
  day: { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' },
};
const formats = new Map();

/** An instant in one of the shapes, in a zone. */
export function instant(at, zone, shape = 'instant') {
  const key = `${shape} ${zone}`;
  if (!formats.has(key)) {
    const options = { ...SHAPES[shape], timeZone: knownZone(zone), hourCycle: 'h23' };
    formats.set(key, new Intl.DateTimeFormat('en-GB', options));
  }
  return formats.get(key).format(new Date(at));
}

/** The day of an instant in a zone, as `2026-11-25`. */
export function dayOf(at, zone) {
  const key = `iso ${zone}`;
  if (!formats.has(key)) {
    const options = { year: 'numeric', month: '2-digit', day: '2-digit', timeZone: knownZone(zone) };
    formats.set(key, new Intl.DateTimeFormat('sv-SE', options));
  }
  return formats.get(key).format(new Date(at));
}
