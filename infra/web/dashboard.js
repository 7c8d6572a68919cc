"use strict";
// Text from logs reaches the page through textContent only, never as markup.

const REFRESH_MS = 5000;
const ALL = "__all__";
const GROUPS = [
  ["Quality", /^(?!drift\.|latency_ms|input_tokens|output_tokens|output_chars|cost_usd|inferences$|error\.).*\.(rate|mean)$/],
  ["Drift", /^drift\./],
  ["Traffic", /^(inferences|error\.rate)$/],
  ["Latency", /^latency_ms\./],
  ["Size and cost", /^(input_tokens|output_tokens|output_chars|cost_usd)\./],
  ["Coverage: share of rows that could be scored", /\.coverage$/],
];

const byId = (id) => document.getElementById(id);
const chosen = { application: "", dimension: ALL, value: ALL, hours: "24" };
let seen = { overview: null, alerts: [], series: null };
let optionsShown = "";
let alertsShown = "";

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function draw(tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

async function ask(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error || `${response.status} from ${path}`);
  return body;
}

// Words for numbers and times.

function number(value, metric = "") {
  if (value === null || value === undefined) return "–";
  if (/\.(rate|coverage)$/.test(metric)) {
    const percent = value * 100;
    return `${percent.toFixed(percent !== 0 && Math.abs(percent) < 10 ? 1 : 0)} %`;
  }
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  if (Math.abs(value) >= 100000) return value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 3 : Math.abs(value) < 100 ? 1 : 0 });
}

const instant = (text) => new Date(text).toISOString().slice(0, 16).replace("T", " ");
const clock = (at) => new Date(at).toISOString().slice(11, 16);
const day = (at) => new Date(at).toISOString().slice(5, 16).replace("T", " ");

function length(ms) {
  const minutes = Math.round(ms / 60000);
  if (minutes < 1) return `${Math.round(ms / 1000)} s`;
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2880 ? `${(minutes / 60).toFixed(1)} h` : `${Math.round(minutes / 1440)} d`;
}

function labels(row) {
  return Object.entries(row.labels).map(([name, value]) => (name === "application" ? value : `${name}=${value}`)).join(" · ");
}

// The top line.

function showState(overview) {
  const service = overview.service;
  const state = byId("state");
  const [kind, text] =
    overview.firing > 0 ? ["bad", `${overview.firing} firing`]
    : service.ready === false ? ["bad", service.state || "not taking records"]
    : overview.last_window === null ? ["warn", "waiting for the first window"]
    : ["good", "all quiet"];
  state.className = `state ${kind}`;
  state.textContent = text;
  document.title = overview.firing > 0 ? `(${overview.firing}) inferwatch` : "inferwatch";
  const facts = [];
  const last = overview.last_window;
  if (last) {
    const seconds = (new Date(last.window_end) - new Date(last.window_start)) / 1000;
    facts.push(["last window", `${instant(last.window_start)}–${clock(last.window_end)}`]);
    facts.push(["rate", `${number(last.rows / seconds)} rows/s`]);
  }
  facts.push(["rows in windows", number(overview.totals.rows || 0)]);
  if (service.stored !== undefined) facts.push(["stored since start", number(service.stored)]);
  if (service.watermark) facts.push(["watermark", instant(service.watermark)]);
  const letters = Object.values(service.dead_letters || {}).reduce((sum, n) => sum + n, 0);
  if (letters) facts.push(["dead letters since start", number(letters)]);
  facts.push(["rules", overview.rules.length]);
  if (service.rules && service.rules !== "ok") facts.push(["rules file", service.rules]);
  facts.push(["receivers", overview.receivers.length || "none"]);
  byId("facts").replaceChildren(
    ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))),
  );
}

// Alerts.

function copyable(sql) {
  const button = make("button", { type: "button" }, "Copy SQL");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(sql);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it below";
    }
  });
  return button;
}

// Drawn by the service, which takes a second: only for a card that is open.
function picture(row, card) {
  const path = `/api/v1/alerts/${encodeURIComponent(row.alert_id)}/explanation.svg`;
  const link = make("a", { class: "picture", href: path, target: "_blank" });
  const load = () => {
    if (!card.open || link.firstChild) return;
    const image = make("img", { src: path, alt: "Picture of the change" });
    image.addEventListener("error", () => image.replaceWith("Picture of the change"));
    link.append(image);
  };
  card.addEventListener("toggle", load);
  load();
  return link;
}

function alertCard(row, open) {
  const since = new Date(row.started);
  const until = row.resolved ? new Date(row.resolved) : null;
  const card = make("details", { class: `card alert ${row.state}`, id: `alert-${row.alert_id}` });
  if (open) card.open = true;
  const when = until
    ? `${instant(since)} – ${instant(until)} (${length(until - since)})`
    : `since ${instant(since)}`;
  card.append(
    make("summary", {},
      make("span", { class: "tag" }, `${row.state} ${row.severity}`),
      make("b", {}, row.title || row.rule),
      make("span", {}, labels(row)),
      make("span", { class: "quiet" }, when)),
  );
  const interval = typeof row.ci_low === "number" ? ` (95 % interval ${number(row.ci_low, row.metric)} to ${number(row.ci_high, row.metric)} when it fired)` : "";
  card.append(make("p", {}, `${row.metric} = ${number(row.value, row.metric)}, rule ${row.rule}: ${row.threshold}, n = ${number(row.n)}${interval}`));
  for (const text of [row.summary, row.description]) if (text) card.append(make("p", {}, text));
  if (row.findings && row.findings.length) {
    card.append(make("h3", {}, "What changed"), make("ul", {}, ...row.findings.map((text) => make("li", {}, String(text)))));
  }
  if (row.examples && row.examples.length) {
    card.append(make("h3", {}, "Examples"), ...row.examples.map((text) => make("blockquote", {}, String(text))));
  }
  if (row.picture) card.append(picture(row, card));
  if (row.sql) card.append(copyable(row.sql), make("pre", {}, row.sql));
  card.append(make("p", {}, make("a", { href: `/alerts/${encodeURIComponent(row.alert_id)}` }, "All about this alert")));
  return card;
}

function showAlerts(alerts) {
  const fresh = JSON.stringify(alerts);
  if (fresh === alertsShown) return;
  alertsShown = fresh;
  const wanted = location.hash.replace(/^#alert[-=/]/, "");
  const opened = new Set([...document.querySelectorAll("#alerts details[open]")].map((node) => node.id));
  const closedByHand = new Set([...document.querySelectorAll("#alerts details:not([open])")].map((node) => node.id));
  const cards = alerts.map((row) => {
    const id = `alert-${row.alert_id}`;
    const first = row.state === "firing" && !closedByHand.has(id);
    return alertCard(row, opened.has(id) || row.alert_id === wanted || first);
  });
  byId("alerts").replaceChildren(...(cards.length ? cards : [make("p", { class: "quiet" }, "None has fired.")]));
}

// Charts.

function choose(overview) {
  const fresh = JSON.stringify(overview.series.map((one) => [one.application, one.dimension, one.value]));
  const applications = [...new Set(overview.series.map((one) => one.application))];
  if (!applications.includes(chosen.application)) {
    chosen.application = applications[0] || "";
    chosen.dimension = chosen.value = ALL;
  }
  const key = `${fresh}|${chosen.application}`;
  if (key === optionsShown) return;
  optionsShown = key;
  byId("application").replaceChildren(...applications.map((name) => make("option", { value: name }, name)));
  byId("application").value = chosen.application;
  const segments = overview.series.filter((one) => one.application === chosen.application && one.dimension !== ALL);
  byId("segment").replaceChildren(
    make("option", { value: JSON.stringify([ALL, ALL]) }, "all rows"),
    ...segments.map((one) => make("option", { value: JSON.stringify([one.dimension, one.value]) }, `${one.dimension} = ${one.value}`)),
  );
  byId("segment").value = JSON.stringify([chosen.dimension, chosen.value]);
  if (!byId("segment").value) byId("segment").selectedIndex = 0;
}

function concerns(rule) {
  if (rule.applications.length && !rule.applications.includes(chosen.application)) return false;
  return rule.group_by.length ? rule.group_by[0] === chosen.dimension : chosen.dimension === ALL;
}

function touches(row, metric) {
  if (row.metric !== metric || row.labels.application !== chosen.application || !row.fired) return false;
  const others = Object.entries(row.labels).filter(([name]) => name !== "application");
  if (chosen.dimension === ALL) return others.length === 0;
  return others.some(([name, value]) => name === chosen.dimension && value === chosen.value);
}

function scaleOf(metric, points, thresholds) {
  const numbers = points.flatMap((point) => [point[1], point[2], point[3]]).concat(thresholds).filter((v) => v !== null);
  if (metric.endsWith(".p_value")) {
    const low = Math.min(0.001, ...numbers.filter((v) => v > 0));
    const bottom = Math.log10(low);
    const ticks = [1, 0.1, 0.01, 0.001].filter((v) => v >= low);
    return { of: (v) => (Math.log10(Math.max(v, low)) - bottom) / -bottom, ticks };
  }
  let low = Math.min(0, ...numbers);
  let high = Math.max(...numbers, 0);
  if (metric.endsWith(".coverage")) high = 1;
  if (high === low) high = low + 1;
  high += metric.endsWith(".coverage") ? 0 : (high - low) * 0.05;
  if (/\.rate$/.test(metric)) high = Math.min(1, Math.max(high, 0.02));
  if (low > -1e-9) low = 0;
  return { of: (v) => (v - low) / (high - low), ticks: [low, (low + high) / 2, high] };
}

function chart(metric, points, alerts, rules, range, size) {
  const width = Math.max(240, size);
  const height = 130;
  const left = 46, right = 8, top = 8, bottom = 20;
  const thresholds = rules.map((rule) => rule.threshold);
  const scale = scaleOf(metric, points, thresholds);
  const [from, to] = range;
  const x = (at) => left + ((at - from) / (to - from || 1)) * (width - left - right);
  const y = (v) => top + (1 - Math.min(1, Math.max(0, scale.of(v)))) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${metric} over time` });
  for (const row of alerts) {
    const start = Math.max(from, new Date(row.started).getTime());
    const end = Math.min(to, row.resolved ? new Date(row.resolved).getTime() : to);
    if (end > start) svg.append(draw("rect", { class: "shade", x: x(start), y: top, width: Math.max(2, x(end) - x(start)), height: height - top - bottom }));
  }
  for (const tick of scale.ticks) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
    svg.append(draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, number(tick, metric)));
  }
  const label = to - from > 36 * 3600000 ? day : clock;
  svg.append(draw("text", { x: left, y: height - 4 }, label(from)));
  svg.append(draw("text", { x: width - right, y: height - 4, "text-anchor": "end" }, label(to)));
  // A gap in the windows is a gap in the line, not a straight stroke over it.
  const steps = points.slice(1).map((point, i) => point[0] - points[i][0]).sort((a, b) => a - b);
  const usual = steps.length ? steps[Math.floor(steps.length / 2)] : 0;
  let run = [];
  const flush = () => {
    if (!run.length) return;
    const band = run.filter((point) => point[2] !== null && point[3] !== null);
    if (band.length > 1) {
      const upper = band.map((point) => `${x(point[0])},${y(point[3])}`);
      const lower = band.map((point) => `${x(point[0])},${y(point[2])}`).reverse();
      svg.append(draw("polygon", { class: "band", points: upper.concat(lower).join(" ") }));
    }
    if (run.length === 1) svg.append(draw("circle", { class: "dot", cx: x(run[0][0]), cy: y(run[0][1]), r: 2.5 }));
    else svg.append(draw("polyline", { class: "line", points: run.map((point) => `${x(point[0])},${y(point[1])}`).join(" ") }));
    run = [];
  };
  for (const point of points) {
    if (point[1] === null || (run.length && point[0] - run[run.length - 1][0] > 2.5 * usual)) flush();
    if (point[1] !== null) run.push(point);
  }
  flush();
  for (const value of new Set(thresholds)) svg.append(draw("line", { class: "threshold", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
  return { svg, x, left, width };
}

function chartCard(metric, raw, range, width) {
  const points = raw.map((point) => [new Date(point[0]).getTime(), ...point.slice(1)]);
  const rules = seen.overview.rules.filter((rule) => rule.metric === metric && concerns(rule));
  const alerts = seen.alerts.filter((row) => touches(row, metric));
  const known = points.filter((point) => point[1] !== null);
  const last = known[known.length - 1];
  const read = make("div", { class: "read" });
  const rest = rules.length ? `threshold ${rules.map((rule) => rule.when).join(", ")}` : "";
  read.textContent = known.length ? rest : "no window has this number";
  const card = make("div", { class: "card chart" },
    make("div", { class: "head" }, make("h3", {}, metric), make("span", { class: "now" }, last ? number(last[1], metric) : "–")));
  if (known.length) {
    const { svg, x, width: full } = chart(metric, points, alerts, rules, range, width);
    const cursor = draw("line", { class: "cursor", y1: 8, y2: 110, x1: -9, x2: -9 });
    svg.append(cursor);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * full;
      const near = points.reduce((best, point) => (Math.abs(x(point[0]) - at) < Math.abs(x(best[0]) - at) ? point : best));
      cursor.setAttribute("x1", x(near[0]));
      cursor.setAttribute("x2", x(near[0]));
      const interval = near[2] !== null && near[3] !== null ? ` [${number(near[2], metric)}, ${number(near[3], metric)}]` : "";
      read.textContent = `${day(near[0])}: ${number(near[1], metric)}${interval}, n = ${number(near[4])} of ${number(near[5])}`;
    });
    svg.addEventListener("pointerleave", () => {
      cursor.setAttribute("x1", -9);
      cursor.setAttribute("x2", -9);
      read.textContent = rest;
    });
    card.append(svg);
  }
  card.append(read);
  return card;
}

function showCharts() {
  const { series } = seen;
  const place = byId("charts");
  if (place.matches(":hover") && place.querySelector(".cursor[x1]:not([x1='-9'])")) return;
  const names = series ? Object.keys(series.metrics) : [];
  if (!names.length) {
    place.replaceChildren(make("p", { class: "quiet" }, "No closed window yet. A window closes when event time has passed its end and the allowed lateness."));
    return;
  }
  const times = names.flatMap((name) => series.metrics[name].map((point) => new Date(point[0]).getTime()));
  const range = [times.reduce((a, b) => Math.min(a, b)), new Date(series.end).getTime()];
  const columns = Math.max(1, Math.floor(place.clientWidth / 400));
  const width = Math.floor(place.clientWidth / columns) - 50;
  const children = [];
  for (const [title, pattern] of GROUPS) {
    const here = names.filter((name) => pattern.test(name)).sort();
    if (here.length) children.push(make("h2", {}, title), ...here.map((name) => chartCard(name, series.metrics[name], range, width)));
  }
  place.replaceChildren(...children);
}

// The rest.

function showLetters(letters) {
  const place = byId("letters");
  if (!letters.reasons.length) {
    place.replaceChildren(make("p", { class: "quiet" }, "None. Every record could be read."));
    return;
  }
  const head = make("tr", {}, make("th", {}, "reason"), make("th", { class: "number" }, "records"), make("th", {}, "last"), make("th", {}, "for example"));
  const rows = letters.reasons.map((row) =>
    make("tr", {}, make("td", {}, row.reason), make("td", { class: "number" }, number(row.count)), make("td", {}, instant(row.last)), make("td", {}, row.example)));
  place.replaceChildren(make("div", { class: "card" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
}

function showSql(overview) {
  byId("sql").textContent = [
    `curl '${overview.url}/?default_format=PrettyCompact' --data "`,
    "  SELECT window_start, metric, round(value, 4) AS value, n, ci_low, ci_high FROM window_metrics",
    `  WHERE application = '${chosen.application.replaceAll("'", "\\'")}' AND segment_dimension = '${ALL}'`,
    '  ORDER BY window_start DESC, metric LIMIT 20"',
    "",
    "# the same with Python:  clickhouse_connect.get_client(host=…, port=…).query_df('SELECT …')",
    "# views: inferences, embeddings, windows, window_metrics, alerts, references, dead_letters, feedback",
  ].join("\n");
}

async function loadSeries() {
  const { application, dimension, value, hours } = chosen;
  if (!application) return;
  seen.series = await ask(`/api/v1/series?${new URLSearchParams({ application, dimension, value, hours })}`);
  showCharts();
}

async function refresh() {
  try {
    const [overview, alerts, letters] = await Promise.all([
      ask("/api/v1/overview"), ask("/api/v1/alerts"), ask("/api/v1/dead_letters?limit=0"),
    ]);
    seen = { ...seen, overview, alerts };
    showState(overview);
    choose(overview);
    showAlerts(alerts);
    showLetters(letters);
    showSql(overview);
    await loadSeries();
  } catch (error) {
    byId("state").className = "state bad";
    byId("state").textContent = `no answer: ${error.message}`;
  }
}

async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, REFRESH_MS);
}

byId("pick").addEventListener("change", () => {
  chosen.hours = byId("hours").value;
  if (byId("application").value !== chosen.application) {
    Object.assign(chosen, { application: byId("application").value, dimension: ALL, value: ALL });
  } else {
    [chosen.dimension, chosen.value] = JSON.parse(byId("segment").value);
  }
  optionsShown = "";
  refresh();
});
window.addEventListener("resize", () => seen.series && showCharts());
document.addEventListener("visibilitychange", () => document.hidden || refresh());
loop();
