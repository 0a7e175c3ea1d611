"use strict";
// Everything below builds elements from text; no text of results is ever read as HTML.
const STEP = 50; // runs that are shown at first, and more each time
const STATES = ["learned and converged", "did not learn", "did not converge"];

let DATA, columns, pools; // see page/__init__.py, runs.py and tables.py; filled at the end of this script
const places = new Map(); // paper, data set and run -> places of its seeds in the columns

/** What the page holds compressed, as text. */
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

/** An element with attributes and children; text stays text. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "circle", "text"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The facts of a run, by its place in the columns. */
function run(place) {
  const paper = pools.papers[columns.paper[place]], name = pools.runs[columns.run[place]];
  const data = pools.datasets[columns.dataset[place]], about = DATA.papers[paper];
  let number = 0;
  const numbers = columns.numbers[place].split(" ");
  return {
    place, paper, name, data, seed: columns.seed[place],
    label: about.labels[name] || name, set: about.data[data] || data, title: about.title,
    method: pools.methods[columns.method[place]], code: pools.codes[columns.code[place]],
    origin: pools.data[columns.data[place]], machine: pools.machines[columns.machine[place]],
    versions: pools.versions[columns.versions[place]],
    options: pools.settings[columns.settings[place]].map((option) => pools.options[option]),
    metric: pools.metrics[columns.metric[place]], value: columns.value[place], chance: columns.chance[place],
    epochs: columns.epochs[place], selected: columns.selected[place], parameters: columns.parameters[place],
    loss: columns.loss[place], validation: columns.validation[place],
    state: columns.learned[place] === false ? 1 : columns.converged[place] === false ? 2 : 0,
    known: columns.learned[place] !== null,
    reason: pools.reasons[columns.reason[place]].replace(/#/g, () => numbers[number++]),
    folder: `${DATA.folder}/${paper}/${data}/${name}/seed${columns.seed[place]}`,
  };
}

/** Runs of a paper on a data set, by names; those of some seeds only if `seeds` is given. */
function runsOf(paper, data, name, seeds = null) {
  const key = [pools.papers.indexOf(paper), pools.datasets.indexOf(data), pools.runs.indexOf(name)].join(" ");
  return (places.get(key) || []).filter((place) => !seeds || seeds.includes(columns.seed[place])).map(run);
}

/** The commands that get the code of a run, and that make exactly this run again. */
const checkout = (each) => (each.code.dirty === false ? `git checkout ${each.code.commit}` : `# made with uncommitted changes on commit ${each.code.commit}`);
function trained(each) {
  const folder = each.folder.slice(DATA.folder.length + 1);
  return pools.commands[columns.command[each.place]].replaceAll("{run}", each.folder).replaceAll("{job}", folder);
}

// Learning curves

function line(values, x, y) {
  let text = "", pen = "M";
  values.forEach((value, place) => {
    if (value === null) { pen = "M"; return; }
    text += `${pen}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  return text;
}

function spark(each) {
  const values = each.validation || each.loss;
  if (!values || values.length < 2) return null;
  const known = values.filter((value) => value !== null), low = Math.min(...known), high = Math.max(...known);
  const text = line(values, (place) => (112 * place) / (values.length - 1), (value) => 22 - (20 * (value - low)) / (high - low || 1));
  return make("svg", { class: "spark", viewBox: "0 0 112 24", "aria-hidden": "true" }, make("path", { d: text }));
}

function curve(each, values, title, chance = null) {
  if (!values) return null;
  const known = values.filter((value) => value !== null).concat(chance === null ? [] : [chance]);
  const low = Math.min(...known), high = Math.max(...known), wide = 480, tall = 150, left = 44, last = values.length - 1;
  const x = (place) => left + ((wide - left - 12) * place) / (last || 1), y = (value) => 14 + ((tall - 40) * (high - value)) / (high - low || 1);
  const chosen = last && each.epochs > 1 ? Math.round(((each.selected - 1) * last) / (each.epochs - 1)) : 0;
  const dot = each.selected && values[chosen] !== null && values[chosen] !== undefined;
  const show = (value) => String(Number(value.toPrecision(3)));
  return make("figure", {}, make("figcaption", { class: "soft" }, title),
    make("svg", { class: "curve", viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": `${title}: from ${show(values[0] ?? low)} to ${show(values[last] ?? low)} in ${each.epochs} epochs` },
      make("path", { class: "axis", d: `M${left} 14V${tall - 26}H${wide - 12}` }),
      chance === null ? null : make("path", { class: "chance", d: `M${left} ${y(chance)}H${wide - 12}` }),
      chance === null ? null : make("text", { x: wide - 12, y: y(chance) - 4, "text-anchor": "end" }, "guessing"),
      make("path", { d: line(values, x, y) }),
      dot ? make("circle", { cx: x(chosen), cy: y(values[chosen]), r: 4 }) : null,
      make("text", { x: left - 6, y: y(high) + 4, "text-anchor": "end" }, show(high)),
      make("text", { x: left - 6, y: y(low) + 4, "text-anchor": "end" }, show(low)),
      make("text", { x: left, y: tall - 10 }, "epoch 1"),
      make("text", { x: wide - 12, y: tall - 10, "text-anchor": "end" }, String(each.epochs))));
}

// The panel at the side

const panel = document.getElementById("panel");
const before = []; // what the panel showed before, to go back to

function show(title, build, back = false) {
  if (!back && panel.open && panel.shown) before.push(panel.shown);
  panel.shown = [title, build];
  const again = before.length ? make("button", { type: "button", class: "tool", onclick: () => show(...before.pop(), true) }, "Back") : null;
  panel.replaceChildren(
    make("div", { class: "panel-top" }, again, make("h2", { id: "panel-h" }, title),
      make("button", { type: "button", class: "tool", onclick: () => panel.close() }, "Close")),
    make("div", { class: "panel-body" }, ...build()));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}
panel.addEventListener("close", () => { before.length = 0; panel.shown = null; });
panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });

function facts(pairs) {
  return make("dl", { class: "facts" }, ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function command(text) {
  const button = make("button", { type: "button", class: "tool", onclick: async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Select it by hand"; }
  } }, "Copy");
  return make("div", {}, make("pre", { tabindex: "0" }, make("code", {}, text)), button);
}

const unique = (values) => [...new Set(values)].join("; ");
const state = (each) => (each.known ? STATES[each.state] : "not judged");

/** Where some runs were made: what they share is said once. */
function madeBy(runs) {
  const machine = ({ machine: m }) => `${m.kind === "cuda" ? "GPU" : "CPU"}, ${m.processor}, ${m.threads} of ${m.cores} cores, ${m.system}`;
  const pins = ({ machine: m }) => Object.entries(m.pinned || {}).map(([name, value]) => `${name}=${value}`).join(" ");
  const clips = ({ origin: o }) => (o.clips ? Object.entries(o.clips).map(([part, count]) => `${part} ${count}`).join(", ") : "");
  const lost = ({ origin: o }) => (o.losses ? Object.entries(o.losses).map(([why, count]) => `${why} ${count}`).join(", ") || "none" : "");
  const dirty = (code) => (code.dirty ? " with uncommitted changes" : code.dirty === null ? " (no git)" : "");
  return facts([
    ["Commit", unique(runs.map((each) => each.code.commit + dirty(each.code)))],
    ["Code digest", unique(runs.map((each) => each.code.digest))],
    ["Data", unique(runs.map((each) => each.origin.manifest || `joins predictions: ${each.origin.joins.join(", ")}`))],
    ["Data digest", unique(runs.filter((each) => each.origin.digest).map((each) => `manifest ${each.origin.manifest_sha256.slice(0, 16)}, features ${each.origin.digest.slice(0, 16)}`))],
    ["Clips", unique(runs.map(clips))], ["Clips lost", unique(runs.map(lost))],
    ["Instruction set", unique(runs.map((each) => `${each.machine.torch || "not recorded"}, ${pins(each) ? `pinned by ${pins(each)}` : "not pinned"}`))],
    ["Device", unique(runs.map(machine))],
    ["Versions", unique(runs.map((each) => Object.entries(each.versions).map((pair) => pair.join(" ")).join(", ")))],
  ]);
}

function runTable(runs, values = null) {
  const rows = runs.map((each) => make("tr", {},
    make("th", { scope: "row" }, make("button", { type: "button", class: "open-run", onclick: () => showRun(each) }, values ? `seed ${each.seed}` : `${each.label}, ${each.set}, seed ${each.seed}`)),
    values ? make("td", { class: "number" }, values[each.seed] === undefined ? "" : String(values[each.seed])) : null,
    make("td", { class: each.state ? "contrary" : null }, state(each)), make("td", {}, spark(each))));
  const heads = ["Run", ...(values ? ["Value"] : []), "State", "Validation"];
  return make("table", { class: "plain" }, make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", class: text === "Value" ? "number" : null }, text)))), make("tbody", {}, ...rows));
}

function showRun(each) {
  show(`${each.label}, ${each.set}, seed ${each.seed}`, () => [
    make("p", {}, make("b", {}, state(each)), each.reason ? ` (${each.reason})` : ""),
    curve(each, each.validation, `Validation: ${each.metric.replaceAll("_", " ")}, ring: the selected epoch`, each.chance),
    curve(each, each.loss, "Training loss"),
    make("h3", {}, "The run"),
    facts([["Paper", each.title], ["Run", each.name], ["Method", each.method], ["Data set", `${each.set} (${each.data})`], ["Seed", String(each.seed)],
      ["Epochs", each.epochs ? `${each.epochs}, epoch ${each.selected} selected` : null], ["Parameters", each.parameters ? each.parameters.toLocaleString("en") : null], ["Folder", each.folder]]),
    make("h3", {}, "How it was made"), madeBy([each]),
    make("h3", {}, "Exactly this run again"), command(`${checkout(each)}\n${trained(each)}`),
    each.options.length ? make("h3", {}, "Settings") : null,
    each.options.length ? make("pre", { tabindex: "0" }, make("code", {}, each.options.join("\n"))) : null,
  ]);
}

// Cells of tables

const MARKS = { "†": "fewer than 100 clips", "‡": "a seed that did not learn is part of the mean", "§": "a seed that did not converge is part of the mean" };
const AXES = ["Data set", "Run", "Subset", "Part", "Inputs", "Subsets chosen", "Checkpoint", "Measure"];

/** What stands behind a cell of the measurements: its place, its runs, and the value of each seed. */
function measured(paper, about, place, [, , chosen, ...numbers]) {
  const [data, name, ...rest] = place.map((word) => DATA.words[word]), seeds = DATA.seeds[chosen];
  const halves = rest[3].startsWith("cross-fitted") && about.halves[name] ? Object.values(about.halves[name]) : [name];
  return {
    pairs: [`${about.data[data] || data} (${data})`, `${about.labels[name] || name} (${name})`, ...rest].map((value, axis) => [AXES[axis], value]),
    runs: halves.flatMap((half) => runsOf(paper, data, half, seeds)),
    values: Object.fromEntries(seeds.map((seed, number) => [seed, numbers[number]])),
    why: "No run stands behind this: it is what an answer that looks at nothing scores.", rule: "measure", files: "predictions",
  };
}

/** The same of a number that is read from other files: the runs are those that its source names. */
function handedOn(paper, place, [, , behind]) {
  const words = Object.fromEntries(Object.entries(place).map(([name, word]) => [name, DATA.words[word]]));
  const single = behind?.length && behind.every((each) => each[2] !== null);
  return {
    pairs: Object.entries(words),
    runs: (behind || []).flatMap(([name, seed]) => runsOf(paper, words.dataset, DATA.words[name], [seed])),
    values: single ? Object.fromEntries(behind.map(([, seed, value]) => [seed, value])) : null,
    why: behind ? "No run stands behind this: it is read from the data set." : "The source of this table does not say which runs stand behind a number.",
    rule: "table", files: "files",
  };
}

function showCell(id, where, title, cell, text) {
  const paper = Object.keys(DATA.papers).find((slug) => id.startsWith(`${slug}-table`)), table = id.slice(paper.length + 1);
  const about = DATA.papers[paper], place = DATA.places[cell[0]], target = `${about.folder}/${table}.csv`;
  const { pairs, runs, values, why, rule, files } = Array.isArray(place) ? measured(paper, about, place, cell) : handedOn(paper, place, cell);
  const commits = new Set(runs.map(checkout));
  show(where, () => [
    make("p", { class: "soft" }, title), make("p", { class: "big" }, text.mean, make("small", {}, ` ${text.spread} ${text.marks}`)),
    facts([["Published", text.published], ["Seeds", values && String(Object.keys(values).length)], ["Clips (n)", cell[1] === null ? null : String(cell[1])], ["Marked", [...text.marks].map((mark) => `${mark} ${MARKS[mark]}`).join("; ")], ...pairs]),
    make("h3", {}, "Seeds and runs"),
    runs.length ? runTable(runs, values) : make("p", {}, why),
    runs.length ? make("h3", {}, "How they were made") : null, runs.length ? madeBy(runs) : null,
    make("h3", {}, "Exactly this number again"),
    command([`# the number from the ${files} that are here\nsnakemake --config ${DATA.config} --forcerun ${rule} -- ${target}`,
      runs.length ? `# the runs behind it, each compared byte by byte${commits.size === 1 ? `\n${[...commits]}` : ""}` : "",
      ...runs.map((each) => [commits.size > 1 ? checkout(each) : "", trained(each)].filter(Boolean).join("\n"))].filter(Boolean).join("\n\n")),
  ]);
}

function wireTable(section) {
  const id = section.dataset.table, cells = DATA.cells[id], table = section.querySelector("table");
  const heads = [...table.tHead.rows].at(-1).cells, labels = [...heads].filter((head) => head.className === "left").length;
  const title = section.querySelector("h4").textContent.trim();
  const levels = [...table.tHead.rows].map((row) => [...row.cells].slice(labels).flatMap((head) => Array(head.colSpan).fill(head.textContent)));
  [...table.tBodies[0].rows].forEach((row, line) => cells[line].forEach((cell, column) => {
    const shown = row.cells[labels + column];
    if (!cell) return;
    const part = (query) => shown.querySelector(query)?.textContent.trim() || "";
    const published = shown.querySelector("i"), text = { spread: part("small"), marks: part("sup"), published: part("i").replace(/[()]/g, "") };
    published?.remove();
    text.mean = shown.firstChild.textContent;
    const where = [...[...row.cells].slice(0, labels).map((each) => each.textContent), ...levels.map((level) => level[column])].join(", ");
    const button = make("button", { type: "button", class: "cell", onclick: () => showCell(id, where, title, cell, text) }, ...shown.childNodes);
    shown.replaceChildren(button, ...(published ? [published] : []));
  }));
  [...heads].forEach((head, column) => {
    const button = make("button", { type: "button", class: "sort", onclick: () => sort(table, head, column) }, ...head.childNodes);
    head.append(button);
  });
  const save = make("button", { type: "button", class: "tool", onclick: () => download(`${id}.csv`, csv(table), "text/csv") }, "Save this table (CSV)");
  section.querySelector(".legend").before(make("div", { class: "tools" }, save));
}

/** Order of two values: numbers by size, words by the alphabet, what is absent last. */
function compare(a, b, down) {
  const absent = (value) => value === null || value === "–" || value === "";
  if (absent(a) || absent(b)) return absent(a) - absent(b);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -order : order;
}

function sort(table, head, column) {
  const down = head.getAttribute("aria-sort") !== "descending", body = table.tBodies[0];
  const key = (row) => { const text = row.cells[column].textContent.trim(), number = parseFloat(text); return Number.isNaN(number) ? text : number; };
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...body.rows].map((row) => [key(row), row]).sort(([a], [b]) => compare(a, b, down));
  body.append(...rows.map(([, row]) => row));
}

// What can be saved

function csv(table) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const spread = (row) => [...row.cells].flatMap((cell) => [cell.textContent.replace(/\s+/g, " ").trim(), ...Array(cell.colSpan - 1).fill("")]);
  return [...table.rows].map((row) => spread(row).map(quoted).join(",")).join("\n") + "\n";
}

function download(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function wireFigure(figure) {
  const id = figure.id, drawing = figure.querySelector("svg"), size = Math.ceil(figure.dataset.size / 1000);
  figure.append(make("div", { class: "tools" },
    make("button", { type: "button", class: "tool", onclick: async () => download(`${id}.csv`, await unpack(figure.dataset.figure), "text/csv") }, `Save the numbers (CSV, ${size} kB)`),
    make("button", { type: "button", class: "tool", onclick: () => download(`${id}.svg`, new XMLSerializer().serializeToString(drawing), "image/svg+xml") }, "Save the drawing (SVG)")));
}

// From a claim to the runs behind it

function wireComparisons(table) {
  const paper = table.dataset.paper, { labels, data } = DATA.papers[paper];
  for (const row of table.tBodies[0].rows) {
    const what = row.cells[0].lastChild, text = what.textContent.trim(), runs = named(text, labels).flatMap((name) => named(text, data).flatMap((set) => runsOf(paper, set, name)));
    if (!runs.length) continue;
    what.replaceWith(" ", make("button", { type: "button", class: "open-run", onclick: () => show(text, () => [
      make("p", { class: "soft" }, "Runs that are named in this comparison:"), runTable(runs), make("h3", {}, "How they were made"), madeBy(runs)]) }, text));
  }
}

/** Names whose labels occur in a text, longest labels first, each part of the text counted once. */
function named(text, labels) {
  const found = [];
  for (const [name, label] of Object.entries(labels).sort((a, b) => b[1].length - a[1].length)) {
    if (!text.includes(label)) continue;
    found.push(name);
    text = text.replaceAll(label, "\u0000");
  }
  return found;
}

// All runs

const COLUMNS = [["Run", "label"], ["Data set", "set"], ["Paper", "paper"], ["Seed", "seed"], ["Validation", "value"], ["Epochs", "epochs"], ["State", "state"], ["Course", null]];

function choice(label, name, options) {
  return make("label", {}, label, make("select", { name }, make("option", { value: "" }, "all"), ...options.map(([value, text]) => make("option", { value }, text))));
}

function runRow(each) {
  return make("tr", {},
    make("th", { scope: "row" }, make("button", { type: "button", class: "open-run", onclick: () => showRun(each) }, each.label)),
    make("td", { title: each.data }, each.set), make("td", {}, each.paper), make("td", { class: "number" }, String(each.seed)),
    make("td", { class: "number" }, each.value === null ? "" : each.value.toFixed(1)),
    make("td", { class: "number" }, each.epochs ? `${each.selected} of ${each.epochs}` : ""),
    make("td", { class: each.state ? "contrary" : "" }, state(each)), make("td", {}, spark(each)));
}

function wireRuns(place) {
  const all = columns.seed.map((_, number) => run(number));
  const words = all.map((each) => [each.label, each.name, each.set, each.data, each.method, each.title, each.paper, `seed${each.seed}`, state(each)].join(" ").toLowerCase());
  let limit = STEP, order = null;
  const body = make("tbody"), count = make("p", { role: "status", class: "soft" });
  const more = make("button", { type: "button", class: "tool", onclick: () => { limit += 4 * STEP; list(); } }, "Show more");
  const filters = make("form", { class: "filters", role: "search", "aria-label": "Runs" },
    make("label", {}, "Search", make("input", { type: "search", placeholder: "for example: greedy balanced seed2", name: "search" })),
    choice("Paper", "paper", Object.entries(DATA.papers).map(([slug, { title }]) => [slug, title])),
    choice("Data set", "data", [...pools.datasets].sort().map((name) => [name, name])),
    choice("Method", "method", [...pools.methods].sort().map((name) => [name, name])),
    choice("State", "state", STATES.map((text, number) => [String(number), text])));
  const heads = make("tr", {}, ...COLUMNS.map(([text, key]) => {
    const head = make("th", { scope: "col", class: ["seed", "value", "epochs"].includes(key) ? "number" : null }, key ? make("button", { type: "button", class: "sort", onclick: () => {
      order = { key, down: order?.key === key && !order.down };
      for (const other of heads.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      list();
    } }, text) : text);
    return head;
  }));
  function list() {
    const wanted = Object.fromEntries(new FormData(filters)), asked = wanted.search.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = all.filter((each) => (!wanted.paper || each.paper === wanted.paper) && (!wanted.data || each.data === wanted.data)
      && (!wanted.method || each.method === wanted.method) && (!wanted.state || (each.known && String(each.state) === wanted.state))
      && asked.every((word) => words[each.place].includes(word)));
    if (order) chosen.sort((a, b) => compare(a[order.key], b[order.key], order.down));
    const shown = chosen.slice(0, limit);
    body.replaceChildren(...shown.map(runRow));
    count.textContent = `${chosen.length} of ${all.length} runs${chosen.length > shown.length ? `, ${shown.length} shown` : ""}`;
    more.hidden = chosen.length <= shown.length;
  }
  filters.addEventListener("input", () => { limit = STEP; list(); });
  filters.addEventListener("submit", (event) => event.preventDefault());
  place.append(filters, count,
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "All runs" }, make("table", { class: "runs" }, make("thead", {}, heads), body)), more);
  list();
}

// The frame

function wireFrame() {
  const menu = document.querySelector(".menu"), wide = matchMedia("(min-width: 75rem)");
  const fit = () => { menu.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
  menu.addEventListener("click", (event) => { if (event.target.closest("a") && !wide.matches) menu.open = false; });
  const theme = document.getElementById("theme"), root = document.documentElement;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  name();
}

/** Open what the address names, and go there. */
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.matches("details")) target.open = true;
  target.scrollIntoView();
}

async function start() {
  wireFrame();
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((each) => { each.open = true; }));
  DATA = JSON.parse(await unpack(document.getElementById("evidence").textContent));
  ({ columns, pools } = DATA);
  columns.seed.forEach((_, place) => {
    const key = [columns.paper[place], columns.dataset[place], columns.run[place]].join(" ");
    places.set(key, [...(places.get(key) || []), place]);
  });
  document.querySelectorAll("[data-table]").forEach(wireTable);
  document.querySelectorAll("[data-figure]").forEach(wireFigure);
  for (const claim of document.querySelectorAll(".claim")) {
    claim.addEventListener("toggle", () => wireComparisons(claim.querySelector(".comparisons")), { once: true });
  }
  wireRuns(document.getElementById("runlist"));
  document.documentElement.dataset.ready = "";
  reveal();
}
start();
