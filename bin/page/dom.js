// Elements from data, and the page brought to look like them.
//
// Data becomes text nodes and attributes, never markup. A view builds what it wants to show anew each time;
// `show` changes only what differs, so that focus, selection and animations stay where they are. Clicks are
// taken by name at a view's root (`onActions`), because an element that is kept has no handlers of its own.

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element. Attributes that are null, undefined or false are left out; true stands alone. */
export function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...nodes(children));
  choose(element, element);
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false && child !== '')
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

// What is chosen in a list or ticked in a box is no attribute.
function choose(element, wanted) {
  if (element.tagName === 'INPUT' && wanted.hasAttribute('data-checked')) {
    element.checked = wanted.getAttribute('data-checked') === 'true';
  }
  if (element.tagName === 'SELECT' && wanted.hasAttribute('data-value')) {
    element.value = wanted.getAttribute('data-value');
  }
}

/** A text whose parts between backticks are code. */
export function marked(text) {
  return text.split('`').map((part, index) => (index % 2 ? el('code', {}, part) : part));
}

/** Brings the children of `parent` to look like these. Those with the same `data-key` are the same. */
export function show(parent, ...children) {
  const keyed = new Map();
  for (const child of parent.children) {
    const key = keyOf(child);
    if (key !== null) keyed.set(key, child);
  }
  let at = parent.firstChild;
  for (const fresh of nodes(children)) {
    const key = keyOf(fresh);
    const old = key === null ? at : keyed.get(key);
    if (!old || keyOf(old) !== key || !isSameKind(old, fresh)) {
      parent.insertBefore(fresh, at);
      continue;
    }
    if (old === at) at = at.nextSibling;
    else parent.insertBefore(old, at);
    liken(old, fresh);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function keyOf(node) {
  return node instanceof Element ? node.getAttribute('data-key') : null;
}

function isSameKind(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName;
}

function liken(old, fresh) {
  if (!(old instanceof Element)) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isUsers(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isUsers(old, name)) old.setAttribute(name, value);
  }
  if (old.hasAttribute('data-held')) return;
  show(old, ...fresh.childNodes);
  choose(old, fresh);
}

// What a person opened stays open; what they typed is no attribute anyway.
function isUsers(element, name) {
  return name === 'open' && element.tagName === 'DETAILS';
}

/** Calls `actions[name](element, event)` for an event of this type on an element below `root` with that `data-action`. */
export function onActions(root, actions, type = 'click') {
  const attribute = type === 'click' ? 'data-action' : `data-on-${type}`;
  root.addEventListener(type, (event) => {
    const target = event.target.closest(`[${attribute}]`);
    const action = target && root.contains(target) ? actions[target.getAttribute(attribute)] : undefined;
    if (!action || target.disabled) return;
    if (type === 'submit' || target.tagName === 'BUTTON') event.preventDefault();
    action(target, event);
  });
}
