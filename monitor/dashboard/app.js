// The dashboard: reads the monitor's JSON and shows it. Text from outside is only ever set as text.

const REFRESH_MS = 2000;
const LINKS = { docs: "API docs", rest: "REST", schema_registry: "Schema registry", jaeger: "Jaeger", opensearch: "OpenSearch" };

const byId = (id) => document.getElementById(id);

function element(tag, { text, title, className, onclick, href, style } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (title) made.title = title;
  if (className) made.className = className;
  if (onclick) made.addEventListener("click", onclick);
  if (href) made.href = href;
  if (style) made.setAttribute("style", style);
  made.append(...children);
  return made;
}

async function read(path) {
  const response = await fetch(path);
  const body = await response.json();
  if (!response.ok) throw new Error(body.message ?? `HTTP status ${response.status}`);
  return body;
}

const time = (text) => (text ? new Date(text).toLocaleTimeString(undefined, { fractionalSecondDigits: 3 }) : "");
const milliseconds = (number) => `${(number ?? 0).toFixed(1)} ms`;

function took(operation) {
  if (!operation.complete_time) return "";
  return milliseconds(new Date(operation.complete_time) - new Date(operation.accept_time));
}

async function showPlatform() {
  const { endpoints, health } = await read("/api/platform");
  const overall = byId("overall");
  overall.textContent = health.status.toLowerCase();
  overall.className = `badge ${health.status}`;
  byId("health").replaceChildren(
    ...(health.components ?? []).map((part) =>
      element("li", { className: `badge ${part.status}`, text: part.name, title: part.detail ?? "" }),
    ),
  );
  byId("links").replaceChildren(
    ...Object.entries(LINKS)
      .filter(([name]) => endpoints[name]?.startsWith("http"))
      .map(([name, label]) => element("a", { href: endpoints[name], text: label })),
  );
  if (endpoints.rest) byId("first-command").textContent = `curl -X POST ${endpoints.rest}/usuarios`;
}

async function showOperations() {
  const { operations = [] } = await read("/api/operations");
  byId("no-operations").hidden = operations.length > 0;
  byId("operations").replaceChildren(
    ...operations.map((operation) =>
      element(
        "tr",
        {},
        element("td", { text: time(operation.accept_time) }),
        element("td", { text: operation.command }),
        element("td", { text: operation.user_id ?? "" }),
        element("td", { text: operation.state, className: operation.state, title: operation.error?.message ?? "" }),
        element("td", { text: took(operation) }),
        element(
          "td",
          {},
          element("button", {
            className: "link",
            text: operation.correlation_id,
            onclick: () => explain(operation.correlation_id),
          }),
        ),
      ),
    ),
  );
}

async function explain(correlationId) {
  byId("correlation-id").value = correlationId;
  history.replaceState(null, "", `#${correlationId}`);
  const story = byId("story");
  try {
    const told = await read(`/api/operations/${encodeURIComponent(correlationId)}`);
    story.replaceChildren(...storyParts(told));
  } catch (error) {
    story.replaceChildren(element("p", { className: "missing", text: error.message }));
  }
}

function storyParts({ operation, hops = [], spans = [], missing = [] }) {
  return [
    element(
      "p",
      {},
      element("strong", { text: `${operation.command} ` }),
      element("span", { className: `badge ${operation.state}`, text: operation.state }),
      element("span", { text: ` ${operation.error?.message ?? took(operation)}` }),
    ),
    ...missing.map((text) => element("p", { className: "missing", text: `Missing: ${text}` })),
    element("h3", { text: "Hops" }),
    hopsTable(hops),
    element("h3", { text: "Spans" }),
    spans.length ? spansTable(spans) : element("p", { text: "The command's trace was not sampled." }),
  ];
}

function table(titles, rows) {
  const head = element("tr", {}, ...titles.map((text) => element("th", { text })));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
}

function hopsTable(hops) {
  const rows = hops.map((hop) =>
    element(
      "tr",
      {},
      element("td", { text: time(hop.timestamp) }),
      element("td", { text: hop.event_type, className: hop.status }),
      element("td", { text: [hop.service, hop.store].filter(Boolean).join(" · ") }),
      element("td", { text: milliseconds(hop.duration_ms) }),
      element("td", { className: "mono", text: `${hop.topic}[${hop.partition ?? 0}]@${hop.offset ?? 0}` }),
      element("td", { text: hop.error ?? (hop.duplicate ? "repeats an earlier answer" : "") }),
    ),
  );
  return table(["Time", "Event", "By", "Took", "Record", ""], rows);
}

function spansTable(spans) {
  const start = Math.min(...spans.map((span) => new Date(span.start_time)));
  const end = Math.max(...spans.map((span) => new Date(span.start_time).getTime() + (span.duration_ms ?? 0)));
  const depth = new Map();
  const rows = spans.map((span) => {
    const level = (depth.get(span.parent_span_id) ?? -1) + 1;
    depth.set(span.span_id, level);
    const percent = (value) => (100 * value) / Math.max(end - start, 0.001);
    const left = percent(new Date(span.start_time) - start);
    return element(
      "tr",
      {},
      element("td", { text: span.name, style: `padding-left: ${0.6 + level}rem` }),
      element("td", { text: span.service }),
      element("td", { text: milliseconds(span.duration_ms) }),
      element(
        "td",
        {},
        element("div", { className: "bar" },
          element("i", { style: `left: ${Math.min(left, 99)}%; width: ${Math.min(percent(span.duration_ms ?? 0), 100 - left)}%` })),
      ),
    );
  });
  return table(["Span", "Service", "Took", ""], rows);
}

async function showEndpoints() {
  const endpoints = await read("/api/endpoints");
  byId("endpoints").replaceChildren(
    ...endpoints.map((endpoint) =>
      element(
        "tr",
        {},
        element("td", { text: endpoint.verb }),
        element("td", { className: "mono", text: endpoint.path }),
        element("td", { text: endpoint.rpc }),
        element("td", { text: endpoint.stores.join(", ") || "query" }),
      ),
    ),
  );
}

async function refresh() {
  try {
    await Promise.all([showPlatform(), showOperations()]);
  } catch (error) {
    byId("overall").textContent = `the monitor does not answer: ${error.message}`;
    byId("overall").className = "badge UNHEALTHY";
  }
  setTimeout(refresh, REFRESH_MS);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  explain(byId("correlation-id").value.trim());
});
showEndpoints();
refresh();
if (location.hash.length > 1) explain(location.hash.slice(1));
