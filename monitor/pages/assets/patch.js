// Makes an element's content like new content, by changing what differs and nothing else: what has the focus, a selection,
// a scroll position or is unfolded keeps it. Elements are known again by `id` or `data-key`, others by their place.

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.key : undefined);

const isAlike = (old, fresh) =>
  old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);

function isInUse(node) {
  if (node.contains(document.activeElement)) return true;
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.containsNode(node, true));
}

export function patch(old, fresh) {
  const keyed = new Map();
  for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  const wantedKeys = new Set([...fresh.childNodes].map(keyOf).filter(Boolean));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = keyOf(wanted);
    const known = key ? keyed.get(key) : place;
    if (known && isAlike(known, wanted)) {
      place = put(old, known, place, wantedKeys);
      patchNode(known, wanted);
    } else {
      old.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    if (!isInUse(place)) place.remove();
    place = next;
  }
}

// Bring a known element to its place, and return what comes behind it. What is not wanted any more makes room first; what
// is in use is never moved: the others move around it.
function put(parent, known, place, wantedKeys) {
  while (place && place !== known && !wantedKeys.has(keyOf(place)) && !isInUse(place)) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  if (place === known) return known.nextSibling;
  if (!isInUse(known)) {
    parent.insertBefore(known, place);
    return place;
  }
  while (place && place !== known) {
    const next = place.nextSibling;
    parent.append(place); // it is found by its key later, or removed
    place = next;
  }
  return known.nextSibling;
}

function patchNode(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data && !isSelected(old)) old.data = fresh.data;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isReaders(old, name)) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isReaders(old, name)) old.removeAttribute(name);
  }
  patch(old, fresh);
}

// What the reader has done to it: unfolded it, filled it in.
const isReaders = (element, name) =>
  (name === "open" && element.nodeName === "DETAILS") ||
  ((name === "value" || name === "checked") && element === document.activeElement);

function isSelected(text) {
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.containsNode(text, true));
}
