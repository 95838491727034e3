// The dashboard: reads the monitor's JSON and shows it.

import { byId, element, milliseconds, pill, read, storeChip, storeChips, time, tookMs } from "./dom.js";
import { storyParts } from "./story.js";

const REFRESH_MS = 2000;
const LOOK_AGAIN_MS = 200;
const LOOKS_MAX = 25; // the event log has a command a moment after the gateway
const LINKS = {
  docs: "API docs",
  schema_registry: "Schema registry",
  jaeger: "Jaeger",
  opensearch: "OpenSearch",
  dashboards: "Event dashboards",
  kafka_ui: "Kafka UI",
  adminer: "Adminer",
  mongo_express: "Mongo Express",
  redis_commander: "Redis Commander",
};
const PART_NAMES = {
  gateway: "Gateway",
  kafka: "Kafka",
  schema_registry: "Registry",
  postgresql: "PostgreSQL",
  mongodb: "MongoDB",
  redis: "Redis",
  "lane-postgresql": "PostgreSQL's lane",
  "lane-mongodb": "MongoDB's lane",
  "lane-redis": "Redis's lane",
  monitor: "Monitor",
};
const SAMPLES = [
  ["Create a user", "/usuarios"],
  ["Take a payment", "/usuarios/1234/pagamento"],
  ["Record a view", "/historico-visualizacao?user_id=1234&conteudo_id=5678"],
  ["Cache a content", "/cache/conteudo/1001"],
];

let restUrl = "";
let jaegerUrl = "";

async function showPlatform() {
  const { endpoints, health } = await read("/api/platform");
  restUrl = endpoints.rest ?? "";
  jaegerUrl = endpoints.jaeger ?? "";
  const overall = byId("overall");
  overall.textContent = health.status.toLowerCase();
  overall.className = `pill ${health.status}`;
  byId("health").replaceChildren(
    ...(health.components ?? []).map((part) =>
      element(
        "li",
        { className: `part ${part.status}`, title: part.detail ?? "" },
        element("span", { className: "dot" }),
        element("span", { text: PART_NAMES[part.name] ?? part.name }),
        element("small", { text: part.detail || part.status.toLowerCase() }),
        ...(notes(part) ? [element("small", { className: "notes", text: notes(part) })] : []),
      ),
    ),
  );
  byId("links").replaceChildren(
    ...Object.entries(LINKS)
      .filter(([name]) => endpoints[name]?.startsWith("http"))
      .map(([name, label]) => element("a", { href: endpoints[name], text: label })),
  );
  if (restUrl) byId("first-command").textContent = `curl -X POST ${restUrl}/usuarios`;
}

// Since when a part is as it is, and how far it is behind.
function notes(part) {
  const lag = part.lag_records
    ? `${part.lag_records} records behind, the oldest for ${Math.round(parseFloat(part.oldest_command_age ?? "0"))} s`
    : "";
  const since = part.status !== "HEALTHY" && part.since_time ? `since ${time(part.since_time)}` : "";
  return [since, lag].filter(Boolean).join(" · ");
}

async function showOperations() {
  const { operations = [] } = await read("/api/operations");
  showFigures(operations);
  byId("no-operations").hidden = operations.length > 0;
  byId("operations-table").hidden = operations.length === 0;
  const only = byId("only").value;
  const shown = operations.filter((operation) => !only || operation.state === only);
  byId("operations").replaceChildren(...shown.map(operationRow));
}

function operationRow(operation) {
  const id = operation.correlation_id;
  const open = () => explain(id);
  return element(
    "tr",
    { className: id === byId("correlation-id").value ? "chosen" : "" },
    element("td", { className: "number", text: time(operation.accept_time) }),
    element("td", {}, element("strong", { text: operation.command })),
    element("td", { className: "mono", text: operation.user_id ?? "" }),
    element("td", {}, pill(operation.state, operation.error?.message)),
    element("td", {}, ...storeChips(operation)),
    element("td", { className: "number", text: operation.complete_time ? milliseconds(tookMs(operation)) : "" }),
    element("td", {}, element("button", { className: "link", text: id, onclick: open })),
  );
}

function showFigures(operations) {
  const count = (state) => operations.filter((operation) => operation.state === state).length;
  const times = operations.filter((operation) => operation.complete_time).map(tookMs).sort((a, b) => a - b);
  byId("figures").replaceChildren(
    ...[
      ["Latest operations", String(operations.length), ""],
      ["Succeeded", String(count("SUCCEEDED")), "SUCCEEDED"],
      ["Failed", String(count("FAILED")), count("FAILED") ? "FAILED" : ""],
      ["Under way", String(count("ACCEPTED")), count("ACCEPTED") ? "ACCEPTED" : ""],
      ["Median, accepted to done", times.length ? milliseconds(times[Math.floor(times.length / 2)]) : "–", ""],
    ].map(([label, value, state]) =>
      element("div", { className: "figure" }, element("b", { className: state, text: value }), element("span", { text: label })),
    ),
  );
}

async function explain(correlationId, looks = 1) {
  byId("correlation-id").value = correlationId;
  history.replaceState(null, "", `#${correlationId}`);
  const story = byId("story");
  for (let look = 1; look <= looks; look += 1) {
    try {
      const told = await read(`/api/operations/${encodeURIComponent(correlationId)}`);
      story.replaceChildren(...storyParts(told, jaegerUrl));
      if (told.operation.state !== "ACCEPTED" && !(told.missing ?? []).length) return;
    } catch (error) {
      if (look === looks) story.replaceChildren(element("p", { className: "missing", text: error.message }));
    }
    if (look < looks) await new Promise((resume) => setTimeout(resume, LOOK_AGAIN_MS));
  }
}

async function send(path) {
  try {
    const accepted = await read(`${restUrl}${path}`, { method: "POST" });
    await explain(accepted.correlation_id, LOOKS_MAX);
  } catch (error) {
    byId("story").replaceChildren(element("p", { className: "missing", text: error.message }));
  }
}

async function showEndpoints() {
  const endpoints = await read("/api/endpoints");
  byId("endpoint-count").textContent = `${endpoints.length} paths`;
  byId("endpoints").replaceChildren(
    ...endpoints.map((endpoint) =>
      element(
        "tr",
        {},
        element("td", {}, element("span", { className: `verb ${endpoint.verb}`, text: endpoint.verb })),
        element("td", { className: "mono", text: endpoint.path }),
        element("td", { text: endpoint.rpc }),
        element(
          "td",
          {},
          ...(endpoint.stores.length
            ? endpoint.stores.map((store) => storeChip(store))
            : [element("span", { className: "soft", text: "query" })]),
        ),
      ),
    ),
  );
}

async function refresh() {
  try {
    await Promise.all([showPlatform(), showOperations()]);
  } catch (error) {
    byId("overall").textContent = `the monitor does not answer: ${error.message}`;
    byId("overall").className = "pill UNHEALTHY";
  }
  setTimeout(refresh, REFRESH_MS);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  explain(byId("correlation-id").value.trim());
});
byId("only").addEventListener("change", showOperations);
showEndpoints();
await refresh(); // what follows needs the platform's addresses
byId("samples").append(
  ...SAMPLES.map(([label, path]) =>
    element("button", { className: "quiet", text: label, title: `POST ${path}`, onclick: () => send(path) }),
  ),
);
if (location.hash.length > 1) explain(location.hash.slice(1));
