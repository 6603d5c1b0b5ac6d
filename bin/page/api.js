// Commands to the daemon, and what it answers or refuses.

/** A command that was not carried out: `message` says why, `hint` what to do about it. */
export class Refused extends Error {
  constructor({ code, message, hint }, status) {
    super(message);
    Object.assign(this, { code, hint, status });
  }

  /** Whether it is the token that is missing. */
  get needsLogin() {
    return this.status === 401;
  }
}

let onLoginNeeded = () => {};

/** Who is told when the daemon does not know this browser any more. */
export function whenLoginIsNeeded(tell) {
  onLoginNeeded = tell;
}

/**
 * Carries a command out and returns its reply's fields. The page's own id lets the daemon know a command again. A `signal`
 * ends a question whose answer is not wanted any more.
 */
export async function command(name, fields = {}, signal = null) {
  const headers = { 'content-type': 'application/json', 'idempotency-key': uuid() };
  try {
    const reply = await post(`/api/v1/commands/${encodeURIComponent(name)}`, fields, headers, signal);
    return await reply.json();
  } catch (refusal) {
    if (refusal.needsLogin) onLoginNeeded();
    throw refusal;
  }
}

/** Lets this browser in; the cookie that comes with the answer stays until `logout`. */
export async function login(token) {
  await post('/login', { token });
}

/** Forgets this browser. */
export async function logout() {
  await post('/logout', {});
}

/** Where one file of a snapshot is streamed from. */
export function fileAddress(repository, snapshot, path) {
  const [where, which] = [repository, snapshot].map(encodeURIComponent);
  return `/api/v1/repositories/${where}/snapshots/${which}/file?path=${encodeURIComponent(path)}`;
}

async function post(address, body, headers = { 'content-type': 'application/json' }, signal = null) {
  let answer;
  try {
    answer = await fetch(address, { method: 'POST', headers, body: JSON.stringify(body), signal });
  } catch {
    const hint = 'The page goes on by itself when it answers again.';
    throw new Refused({ code: 'unreachable', message: 'the daemon cannot be reached', hint }, 0);
  }
  if (!answer.ok) throw await refusalOf(answer);
  return answer;
}

/** What an answer that is not well says. */
export async function refusalOf(answer) {
  const body = await answer.json().catch(() => null);
  const plain = { code: 'unknown', message: `the daemon answered with status ${answer.status}`, hint: null };
  return new Refused(body?.error ?? plain, answer.status);
}

// `crypto.randomUUID` is there only where the connection is trusted, and a page may be served over plain HTTP.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
