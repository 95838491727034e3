// One operation's story: what happened to it, hop by hop and span by span, and what is missing.

import { element, milliseconds, pill, storeChips, storeName, table, time, tookMs } from "./dom.js";

export function storyParts({ operation, hops = [], spans = [], missing = [] }, jaegerUrl) {
  return [
    headline(operation),
    ...missing.map((text) => element("p", { className: "missing", text: `Missing: ${text}` })),
    element("h3", { text: "Hops" }),
    hopsTable(hops),
    traceTitle(spans, jaegerUrl),
    spans.length ? spansTable(spans) : element("p", { className: "soft", text: "The command's trace was not sampled." }),
  ];
}

function traceTitle([span], jaegerUrl) {
  const title = element("h3", { text: "Trace" });
  if (span && jaegerUrl) {
    title.append(" ", element("a", { href: `${jaegerUrl}/trace/${span.trace_id}`, text: "in Jaeger" }));
  }
  return title;
}

function headline(operation) {
  const took = operation.complete_time ? `in ${milliseconds(tookMs(operation))}` : "under way";
  return element(
    "p",
    { className: "headline" },
    element("strong", { text: operation.command }),
    pill(operation.state),
    element("span", { className: "soft", text: operation.error?.message ?? took }),
    ...storeChips(operation),
  );
}

function hopsTable(hops) {
  const rows = hops.map((hop) =>
    element(
      "tr",
      {},
      element("td", { className: "number", text: time(hop.timestamp) }),
      element("td", { text: hop.event_type, className: hop.status }),
      element("td", { text: [hop.service, storeName(hop.store)].filter(Boolean).join(" · ") }),
      element("td", { className: "number", text: milliseconds(hop.duration_ms) }),
      element("td", { className: "mono", text: `${hop.topic}[${hop.partition ?? 0}]@${hop.offset ?? 0}` }),
      element("td", { className: "soft", text: hop.error ?? (hop.duplicate ? "repeats an earlier answer" : "") }),
    ),
  );
  return table(["Time", "Event", "By", "Took", "Record", ""], rows);
}

function spansTable(spans) {
  const startOf = (span) => new Date(span.start_time).getTime();
  const start = Math.min(...spans.map(startOf));
  const end = Math.max(...spans.map((span) => startOf(span) + (span.duration_ms ?? 0)));
  const percent = (value) => (100 * value) / Math.max(end - start, 0.001);
  const depth = new Map();
  const rows = spans.map((span) => {
    const level = (depth.get(span.parent_span_id) ?? -1) + 1;
    depth.set(span.span_id, level);
    const left = Math.min(percent(startOf(span) - start), 99);
    const width = Math.min(percent(span.duration_ms ?? 0), 100 - left);
    const bar = element("i", { className: span.error ? "error" : "", style: `left: ${left}%; width: ${width}%` });
    return element(
      "tr",
      {},
      element("td", { text: span.name, style: `padding-left: ${0.75 + level}rem` }),
      element("td", { text: span.service }),
      element("td", { className: "number", text: milliseconds(span.duration_ms) }),
      element("td", {}, element("div", { className: `bar service-${span.service}` }, bar)),
    );
  });
  return table(["Span", "Service", "Took", ""], rows);
}
