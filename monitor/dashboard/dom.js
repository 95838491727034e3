// What the pages' parts share: elements, reading JSON, and how values are written. Text from outside is only ever set
// as text.

export const byId = (id) => document.getElementById(id);

export function element(tag, { text, title, className, onclick, href, style, colSpan } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (title) made.title = title;
  if (className) made.className = className;
  if (onclick) made.addEventListener("click", onclick);
  if (href) made.href = href;
  if (style) made.setAttribute("style", style);
  if (colSpan) made.colSpan = colSpan;
  made.append(...children);
  return made;
}

export async function read(url, options) {
  const response = await fetch(url, options);
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.message ?? `HTTP status ${response.status}`), { body });
  return body;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" };

export const time = (text) => (text ? new Date(text).toLocaleTimeString(undefined, CLOCK) : "");

export function milliseconds(number = 0) {
  return number < 10_000 ? `${number.toFixed(1)} ms` : `${(number / 1000).toFixed(1)} s`;
}

export const tookMs = (operation) => new Date(operation.complete_time) - new Date(operation.accept_time);

export const pill = (state, title) =>
  element("span", { className: `pill ${state}`, text: state.toLowerCase(), title });

const STORES = { POSTGRESQL: "PostgreSQL", MONGODB: "MongoDB", REDIS: "Redis" };

export const storeName = (store) => STORES[store] ?? store;

export const storeChip = (store, state) =>
  element("span", { className: `chip ${store}`, text: storeName(store), title: state?.toLowerCase() });

export const storeChips = ({ receipts = [] }) =>
  receipts.toSorted((a, b) => (a.store < b.store ? 1 : -1)).map(({ store, state }) => storeChip(store, state));

export function table(titles, rows) {
  const head = element("tr", {}, ...titles.map((text) => element("th", { text })));
  return element(
    "div",
    { className: "scroll" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)),
  );
}
