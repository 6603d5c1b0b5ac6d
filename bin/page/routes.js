// Where one is: `#/view/part/…?name=value`.

/** The route of a hash: view, parts, and query. */
export function routeOf(hash) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?', 2);
  const [view, ...parts] = path.split('/').map(decoded);
  return { view: view || 'tasks', parts: parts.filter(Boolean), query: new URLSearchParams(query ?? '') };
}

/** The hash of a route; parts and values that are null are left out. */
export function hashOf(view, parts = [], query = {}) {
  const path = [view, ...parts].map(encodeURIComponent).join('/');
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(pairs).toString();
  return `#/${path}${text ? `?${text}` : ''}`;
}

/** Goes there; `replace` leaves no step back. */
export function go(hash, { replace = false } = {}) {
  if (replace) location.replace(hash);
  else location.hash = hash;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
