// The page as a whole: what is shown, what is lit, and what the keys do.

const NOTHING = related(null, -1);
const state = { graph: 0, step: 0, program: false, lit: NOTHING, chosen: NOTHING, colour: "family", hits: [], hit: -1, split: false };
const pictures = new Map();
const picture = (raw) => {
  if (!pictures.has(raw)) pictures.set(raw, new Picture(raw));
  return pictures.get(raw);
};
const graph = () => data.graphs[state.graph];
const pictureAt = (step) => graph().pictures[step ? graph().steps[step - 1].picture : graph().first];

// How boxes look -----------------------------------------------------------------------------------

const marks = { added: new Set(), removed: new Set() };
let hitSet = new Set();
const unitsOf = (key) => state.program ? (key >= 0 ? [key] : []) : key >= 0 && data.nodes[key] ? data.nodes[key][1] : [];
const look = {
  colours(family, key) {
    if (state.colour === "family" || family === "output") return [familyColour(family, "fill"), familyColour(family, "stroke")];
    const unit = unitsOf(key)[0];
    if (state.colour === "heat") return [heatColour(unit, "fill"), heatColour(unit, "stroke")];
    if (unit === undefined) return [theme.raised, theme.dark ? "#484f58" : "#c3cad2"];
    return [unitColour(unit, "fill"), unitColour(unit)];
  },
  stripes: (key) => unitsOf(key).map((unit) => unitColour(unit)),
  mark(view, key) {
    if (key < 0) return null;
    const mine = state.program ? "unit" : "node";
    if (state.chosen.kind === mine && state.chosen.number === key) return { colour: theme.accent, width: 3.4, out: 3, fill: state.colour !== "heat" };
    if (state.lit[mine].has(key)) return { colour: theme.accent, width: 2.6, out: 2 };
    if (!state.program) {
      if (view === second ? marks.removed.has(key) : marks.removed.has(key) && !marks.added.has(key)) {
        return { colour: theme.gone, width: 2.6, out: 2, dash: [5, 3], fill: true };
      }
      if (view !== second && marks.added.has(key)) return { colour: theme.add, width: 2.8, out: 2, fill: true };
    }
    if (hitSet.has(key)) return { colour: theme.dark ? "#e3b341" : "#bf8700", width: 2.6, out: 2 };
    return state.chosen[mine].has(key) ? { colour: theme.accent, width: 1.8, out: 1.5 } : null;
  },
  edge(from, to) {
    const mine = state.program ? "unit" : "node";
    for (const found of [state.lit, state.chosen]) {
      if (found.kind === mine && found.number >= 0 && (from === found.number || to === found.number)) return true;
    }
    return false;
  },
};

// Light: what is hovered, and what was chosen by a click -------------------------------------------

const on = {
  hover(view, k, event) {
    const key = k < 0 ? -1 : view.picture.key[k];
    light(key < 0 ? null : state.program ? "unit" : "node", key);
    tip(view, k, event);
  },
  click(view, k) {
    const key = k < 0 ? -1 : view.picture.key[k];
    choose(key < 0 ? null : state.program ? "unit" : "node", key, view);
  },
  moved(view) {
    const other = view === second ? first : second;
    if (!state.split || state.program || other.following) return;
    other.view.scale = view.view.scale;
    other.redraw();
  },
};
const first = new GraphView(byId("canvas"), look, on);
const second = new GraphView(byId("canvas2"), look, on);
const source = new SourcePane(byId("source"));
const code = new CodePane(byId("code"), byId("stages"), (word) => { code.show(word); relight(); code.reveal(state.chosen); });
const memory = new MemoryPane(byId("memory"));

function spansOf(found) {
  const spans = new Map();
  const rows = found.kind === "node" ? (data.nodes[found.number] || [[]])[0]
    : found.kind === "unit" ? data.units[found.number].lines : [];
  for (const [line, col, down, end] of rows) {
    if (end > col || down > 0) spans.set(line, [col, down > 0 ? undefined : end]);
  }
  return spans;
}

function relight() {
  const shown = state.lit.kind ? state.lit : state.chosen;
  source.light(shown, spansOf(shown));
  code.light(shown, state.chosen);
  memory.light(shown);
  for (const c of document.querySelectorAll(".chip, .p")) {
    c.classList.toggle("lit", shown[c.dataset.kind].has(Number(c.dataset.number)));
  }
  first.redraw();
  if (state.split) second.redraw();
  const body = document.body.dataset;
  body.lit = `${shown.node.size} ${shown.line.size} ${shown.unit.size} ${shown.buffer.size}`;
}

function light(kind, number) {
  if (state.lit.kind === kind && (kind === null || state.lit.number === number)) return;
  state.lit = kind === null ? NOTHING : related(kind, number);
  relight();
}

function choose(kind, number, from) {
  state.chosen = kind === null ? NOTHING : related(kind, number);
  state.lit = NOTHING;
  relight();
  inspect();
  if (kind === null) return;
  if (from !== source) source.reveal(state.chosen);
  if (from !== code) code.reveal(state.chosen);
  if (from !== first && from !== second) first.reveal([...(state.program ? state.chosen.unit : state.chosen.node)], false);
}

function tip(view, k, event) {
  const host = byId("tip");
  if (k < 0) { host.hidden = true; return; }
  const [title, lines, , details] = data.boxes[view.picture.box[k]];
  const source = details.find((d) => d[0] === "source");
  const units = unitsOf(view.picture.key[k]).map((u) => data.units[u].name);
  host.replaceChildren(element("b", title));
  if (lines.length) host.append(element("div", lines.join("  ")));
  if (source) host.append(element("code", source[1]));
  if (units.length && !state.program) host.append(element("div", `in ${units.slice(0, 3).join(", ")}${units.length > 3 ? " …" : ""}`));
  host.hidden = false;
  const room = byId("stage").getBoundingClientRect();
  const x = event.clientX - room.left + 14, y = event.clientY - room.top + 16;
  host.style.left = `${Math.min(x, room.width - host.offsetWidth - 8)}px`;
  host.style.top = `${y + host.offsetHeight > room.height ? y - host.offsetHeight - 26 : y}px`;
}

// The inspector ------------------------------------------------------------------------------------

function inspect() {
  const host = byId("inspector"), { kind, number } = state.chosen;
  host.hidden = !kind;
  host.replaceChildren();
  if (!kind) return;
  const close = element("button", "×", "close");
  close.type = "button";
  close.title = "Esc";
  close.addEventListener("click", () => choose(null, -1));
  host.append(close);
  if (kind === "node") inspectNode(host, number);
  else if (kind === "unit") inspectUnit(host, number);
  else if (kind === "buffer") inspectBuffer(host, number);
  else {
    const [file, line] = data.lines[number];
    host.append(element("h2", `${file.split("/").pop()}:${line}`));
  }
  chips(host, "computed in", "unit", state.chosen.unit, (u) => data.units[u].name, kind);
  chips(host, "buffers", "buffer", state.chosen.buffer, (b) => data.buffers[b].word || data.buffers[b].name, kind);
  if (kind !== "node") chips(host, "nodes", "node", state.chosen.node, nodeWord, kind);
}

function table(host, rows) {
  const list = document.createElement("dl");
  for (const [word, text] of rows) {
    if (word === "loops" || word === "kernel") continue;
    list.append(element("dt", word), element("dd", text));
  }
  host.append(list);
}

// The title of a node in the state that is shown, else in the first state that has it.
const titles = new Map();
function nodeWord(key) {
  if (!titles.size) {
    for (const g of data.graphs) {
      for (const { n } of g.pictures) {
        for (let at = 0; at < n.length; at += 7) if (!titles.has(n[at + 1])) titles.set(n[at + 1], n[at]);
      }
    }
  }
  const k = state.program ? undefined : first.picture.of(key)[0];
  const box = k === undefined ? titles.get(key) : first.picture.box[k];
  return box === undefined ? `node ${key}` : data.boxes[box][0];
}

function chips(host, word, kind, numbers, name, own) {
  const list = [...numbers].slice(0, 40);
  if (!list.length || kind === own) return;
  host.append(element("h3", word));
  for (const n of list) host.append(chip(name(n), kind, n));
  if (numbers.size > 40) host.append(element("span", ` … ${numbers.size}`));
}

function inspectNode(host, key) {
  const view = [first, second].find((v) => v.picture && v.picture.of(key).length) || first;
  const k = view.picture.of(key)[0];
  if (k === undefined) { host.append(element("h2", "not in this state of the graph")); return; }
  const [title, , family, details] = data.boxes[view.picture.box[k]];
  host.append(element("h2", title));
  table(host, [...details, ["family", data.families[family]]]);
  const { from, to } = view.picture.around(key);
  chips(host, "reads", "node", new Set(from), nodeWord, "");
  chips(host, "read by", "node", new Set(to), nodeWord, "");
}

function inspectUnit(host, unit) {
  const u = data.units[unit];
  host.append(element("h2", u.name));
  const rows = [["is", data.families[u.family]]];
  if (u.gist) rows.push(["computes", u.gist]);
  if (u.seconds !== undefined) rows.push(["time", secondsText(u.seconds)]);
  if (u.calls) rows.push(["calls", String(u.calls)]);
  for (const [p, b, mode, type] of u.params || []) {
    const held = data.buffers[links.bufferNumber.get(b)];
    rows.push([p, `${mode} ${type}${held && held.word ? `  ${held.word}` : ""}`]);
  }
  table(host, rows);
}

function inspectBuffer(host, number) {
  const b = data.buffers[number];
  host.append(element("h2", b.word || b.name));
  table(host, [["buffer", b.name], ["type", b.type], ["role", b.role], ["bytes", bytesText(b.bytes)],
    ["alive", `step ${b.first} to ${b.last}`], ["slot", b.slot < 0 ? "outside the arena" : String(b.slot)]]);
}

// Steps: the states of a graph ---------------------------------------------------------------------

function show(graphNumber, step, move) {
  state.program = false;
  state.graph = graphNumber;
  const g = graph();
  state.step = Math.min(Math.max(step, 0), g.steps.length);
  const change = state.step ? g.steps[state.step - 1] : null;
  // Where states share a picture, the red boxes are those that are about to go.
  marks.added = new Set(change ? change.added : []);
  marks.removed = new Set(change ? change.removed : []);
  first.show(picture(pictureAt(state.step)), move);
  if (state.split) second.show(picture(pictureAt(Math.max(state.step - 1, 0))), move);
  if (change && move) first.reveal(change.added.length ? change.added : change.events.map((e) => e.to), false);
  const slider = byId("slider");
  slider.max = g.steps.length;
  slider.value = state.step;
  byId("count").textContent = `${state.step} / ${g.steps.length}`;
  byId("badge").textContent = `${word(state.step)} · ${first.picture.count} boxes`;
  byId("badge2").textContent = state.step ? `before: ${word(state.step - 1)}` : "before";
  document.body.dataset.step = state.step;
  document.body.dataset.boxes = first.picture.count;
  describe(change);
  drawBars();
  views();
  relight();
}

const word = (step) => step === 0 ? "as written" : step === graph().steps.length ? "optimized"
  : `after rewrite ${step}`;

function describe(change) {
  const host = byId("event");
  host.replaceChildren();
  const g = graph();
  if (!change) {
    host.append(element("div", g.steps.length
      ? `The graph as you wrote it. Drag the slider, or press →, to see ${g.steps.length} ${g.steps.length === 1 ? "change" : "changes"}.`
      : "The graph as you wrote it. No rule changed it.", "meta"));
    return;
  }
  if (!change.events.length) {
    const head = element("div", undefined, "rule");
    head.append(element("span", "pass", "class pass"), change.pass);
    host.append(head, element("div", `${change.what} ${change.removed.length} nodes became ${change.added.length}.`, "meta"));
  }
  for (const e of change.events.slice(0, 20)) {
    const head = element("div", undefined, "rule");
    head.append(element("span", e.class, `class ${e.class}`), e.rule);
    const meta = [change.pass, e.where, e.when ? `when ${e.when}` : "", e.doc].filter(Boolean).join(" · ");
    const minus = element("div", `− ${e.before}`, "change minus"), plus = element("div", `+ ${e.after}`, "change plus");
    minus.title = e.before;
    plus.title = e.after;
    host.append(head, element("div", meta, "meta"), minus, plus);
  }
  if (change.events.length > 20) host.append(element("div", `… ${change.events.length - 20} more firings in this step`, "meta"));
}

// Above the slider: a bar for each change, as high as it is large, coloured by pass.
const PASS_HUES = new Map();
function drawBars() {
  const canvas = byId("bars"), ratio = window.devicePixelRatio || 1, steps = graph().steps;
  const width = canvas.clientWidth;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = 14 * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  const inset = 8, gap = (width - 2 * inset) / Math.max(steps.length, 1);
  steps.forEach((s, k) => {
    if (!PASS_HUES.has(s.pass)) PASS_HUES.set(s.pass, (210 + PASS_HUES.size * 67) % 360);
    const size = s.added.length + s.removed.length;
    const high = Math.min(3 + 2.2 * Math.log2(1 + size), 13);
    c.fillStyle = `hsl(${PASS_HUES.get(s.pass)} 60% ${theme.dark ? 60 : 48}%)`;
    c.globalAlpha = k + 1 === state.step ? 1 : k < state.step ? 0.75 : 0.32;
    c.fillRect(inset + (k + 1) * gap - Math.min(gap, 6) / 2, 14 - high, Math.max(Math.min(gap - 0.5, 6), 0.7), high);
  });
}

function showProgram() {
  if (!data.program) return;
  state.program = true;
  state.split = false;
  layoutPanes();
  marks.added = marks.removed = new Set();
  first.show(picture(data.program), false);
  byId("badge").textContent = `the program · ${data.units.length} steps`;
  document.body.dataset.boxes = first.picture.count;
  views();
  relight();
}

function views() {
  const host = byId("views");
  if (!host.children.length) {
    data.graphs.forEach((g, k) => addView(k === 0 ? "Graph" : `Graph ${g.name}`, `${g.counts[0]} → ${g.counts[1]}`, () => show(k, 0, false)));
    if (data.program) addView("Kernels", `${data.units.length} steps`, showProgram);
  }
  [...host.children].forEach((tab, k) => {
    const chosen = state.program ? k === data.graphs.length : k === state.graph;
    tab.classList.toggle("on", chosen);
    tab.setAttribute("aria-selected", chosen);
  });
  byId("timeline").hidden = state.program;
  byId("split").hidden = state.program || !graph().steps.length;
  legend();
}

function addView(title, more, action) {
  const tab = element("button", `${title} `, "tab");
  tab.type = "button";
  tab.setAttribute("role", "tab");
  tab.append(element("small", more));
  tab.addEventListener("click", action);
  byId("views").append(tab);
}

function legend() {
  const host = byId("legend");
  host.replaceChildren();
  if (state.colour !== "family") {
    host.append(state.colour === "heat" ? "pale: little time · red: most of the time" : "one colour for each kernel");
    return;
  }
  const used = new Set();
  for (let k = 0; k < first.picture.count; k += 1) used.add(data.boxes[first.picture.box[k]][2]);
  for (const [family, title] of Object.entries(data.families)) {
    if (!used.has(family) || family === "output") continue;
    const entry = document.createElement("span"), square = document.createElement("i");
    square.style.background = familyColour(family, "fill");
    square.style.borderColor = familyColour(family, "stroke");
    entry.append(square, title);
    host.append(entry);
  }
}

// Search -------------------------------------------------------------------------------------------

const haystack = new Map();
function textOf(box) {
  if (!haystack.has(box)) {
    const [title, lines, , details, text] = data.boxes[box];
    const told = details.filter(([word]) => word !== "source" && !word.startsWith("operand")).map((d) => d[1]);
    haystack.set(box, [title, ...lines, ...told, ...text].join("\n").toLowerCase());
  }
  return haystack.get(box);
}

function find() {
  const wanted = byId("search").value.trim().toLowerCase();
  const p = first.picture, kind = state.program ? "unit" : "node", seen = new Set(), answers = new Map();
  state.hits = [];
  state.hit = -1;
  for (let k = 0; wanted && k < p.count; k += 1) {
    if (p.again[k] || seen.has(p.key[k]) || p.key[k] < 0) continue;
    if (!answers.has(p.box[k])) answers.set(p.box[k], textOf(p.box[k]).includes(wanted));
    if (!answers.get(p.box[k])) continue;
    seen.add(p.key[k]);
    state.hits.push([kind, p.key[k]]);
  }
  hitSet = new Set(seen);
  if (wanted) findTexts(wanted);
  byId("hits").textContent = wanted ? `${state.hits.length} found` : "";
  document.body.dataset.hits = state.hits.length;
  first.redraw();
}

// The lines and the kernels whose text holds what is wanted, after the boxes.
function findTexts(wanted) {
  for (const { rows } of data.sources) {
    for (const [, text, line] of rows) if (line >= 0 && text.toLowerCase().includes(wanted)) state.hits.push(["line", line]);
  }
  data.units.forEach((u, unit) => {
    if (state.program && hitSet.has(unit)) return;
    if ([u.name, u.gist, ...Object.values(u.text)].some((t) => t && t.toLowerCase().includes(wanted))) state.hits.push(["unit", unit]);
  });
}

function nextHit(step) {
  if (!state.hits.length) return;
  state.hit = (state.hit + step + state.hits.length) % state.hits.length;
  const [kind, number] = state.hits[state.hit];
  choose(kind, number);
  if (kind === (state.program ? "unit" : "node")) first.reveal([number], true);
  byId("hits").textContent = `${state.hit + 1} of ${state.hits.length}`;
}

// Keys ---------------------------------------------------------------------------------------------

const KEYS = [
  ["← →", "previous, next rewrite"], ["Home End", "graph as written, optimized"], ["↑ ↓", "to what the chosen node reads, to what reads it"],
  ["/", "search; Enter and Shift+Enter go through the matches"], ["Esc", "let go of what is chosen"], ["f", "see everything"],
  ["+ −", "zoom"], ["b", "before and after, side by side"], ["k", "graph or kernels"], ["c", "colours: operation, kernel, heat"],
  ["m", "memory plan"], ["1 2 3 4", "loops, scheduled loops, LLVM IR, assembly"], ["t", "light or dark"], ["?", "this list"],
];

function walk(up) {
  const kind = state.program ? "unit" : "node";
  if (state.chosen.kind !== kind) { choose(kind, first.picture.key[0]); return; }
  const near = first.picture.around(state.chosen.number)[up ? "from" : "to"].filter((key) => key >= 0);
  if (near.length) { choose(kind, near[0]); first.reveal([near[0]], false); }
}

function layoutPanes() {
  byId("pane2").hidden = !state.split;
  byId("split").classList.toggle("on", state.split);
  second.following = !state.split;
  first.resize();
  if (state.split) second.resize();
}

const actions = {
  ArrowLeft: () => state.program || show(state.graph, state.step - 1, true),
  ArrowRight: () => state.program || show(state.graph, state.step + 1, true),
  Home: () => state.program || show(state.graph, 0, true),
  End: () => state.program || show(state.graph, graph().steps.length, true),
  ArrowUp: () => walk(true),
  ArrowDown: () => walk(false),
  "/": () => byId("search").focus(),
  Escape: () => choose(null, -1),
  f: () => { first.fit(false); if (state.split) second.fit(false); },
  "+": () => first.zoom(1.25),
  "=": () => first.zoom(1.25),
  "-": () => first.zoom(0.8),
  b: () => {
    if (state.program) return;
    state.split = !state.split;
    layoutPanes();
    second.view = { ...first.view };
    if (state.split && !state.step && graph().steps.length) state.step = graph().steps.length;
    show(state.graph, state.step, false);
  },
  k: () => state.program ? show(state.graph, state.step, false) : showProgram(),
  c: () => {
    const select = byId("colour");
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    recolour();
  },
  m: () => { if (memory.details) memory.details.open = !memory.details.open; },
  t: () => setTheme(theme.dark ? "light" : "dark"),
  "?": () => byId("keys").showModal(),
};
STAGES.forEach(([word], k) => { actions[k + 1] = () => { if (code.has[word]) { code.show(word); relight(); code.reveal(state.chosen); } }; });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const box = byId("search");
  if (event.target === box) {
    if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") { box.value = ""; find(); box.blur(); first.canvas.focus(); }
    return;
  }
  if (byId("keys").open || event.target.tagName === "SELECT") return;
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function recolour() {
  state.colour = byId("colour").value;
  legend();
  first.redraw();
  second.redraw();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  readTheme();
  if (memory.drawn) memory.draw();
  source.paint();
  legend();
  drawBars();
  for (const c of document.querySelectorAll(".unit")) {
    const head = c.firstChild;
    if (head.dataset.number) c.style.borderLeftColor = unitColour(Number(head.dataset.number));
  }
  first.redraw();
  second.redraw();
}

// Everything that carries a kind and a number lights up and can be chosen.
for (const host of [byId("right"), byId("memory"), byId("inspector")]) {
  host.addEventListener("pointerover", (event) => {
    const target = event.target.closest("[data-kind]");
    if (target) light(target.dataset.kind, Number(target.dataset.number)); else light(null, -1);
  });
  host.addEventListener("pointerleave", () => light(null, -1));
  host.addEventListener("click", (event) => {
    const target = event.target.closest("[data-kind]");
    if (!target || String(getSelection())) return;
    const from = byId("code").contains(target) ? code : byId("source").contains(target) ? source : null;
    choose(target.dataset.kind, Number(target.dataset.number), from);
  });
}

function drag(event) {
  const room = document.querySelector("main").getBoundingClientRect();
  const share = Math.min(Math.max((event.clientX - room.left) / room.width, 0.2), 0.85);
  document.querySelector("main").style.gridTemplateColumns = `minmax(0, ${share}fr) 5px minmax(0, ${1 - share}fr)`;
}
byId("gutter").addEventListener("pointerdown", (event) => {
  event.target.setPointerCapture(event.pointerId);
  event.target.addEventListener("pointermove", drag);
  event.target.addEventListener("pointerup", () => event.target.removeEventListener("pointermove", drag), { once: true });
});

// The start ----------------------------------------------------------------------------------------

function begin() {
  const wanted = new URLSearchParams(location.hash.slice(1)); // page.html#step=3&node=5&stage=llvm
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = wanted.get("theme") || (dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  readTheme();
  byId("title").textContent = data.title;
  const g = data.graphs[0], firings = data.graphs.flatMap((h) => h.steps).reduce((n, s) => n + s.events.length, 0);
  byId("summary").textContent = `${g.counts[0]} → ${g.counts[1]} nodes · ${firings} rewrites` +
    (data.units.length ? ` · ${data.units.length} steps` : "");
  if (data.heat) byId("colour").append(new Option("time", "heat"));
  for (const [key, what] of KEYS) byId("keylist").append(element("dt"), element("dd", what));
  [...byId("keylist").querySelectorAll("dt")].forEach((dt, k) => dt.append(...KEYS[k][0].split(" ").map((key) => element("kbd", key))));
  source.paint();
  const number = (name) => wanted.has(name) ? Number(wanted.get(name)) : null;
  show(Math.min(number("graph") || 0, data.graphs.length - 1), number("step") || 0, false);
  if (state.step) first.reveal(graph().steps[state.step - 1].added, false);
  if (wanted.has("program")) showProgram();
  if (wanted.has("split")) actions.b();
  if (wanted.has("memory")) actions.m();
  code.show(code.has[wanted.get("stage")] ? wanted.get("stage") : code.has.scheduled ? "scheduled" : "loops");
  if (wanted.has("colour")) { byId("colour").value = wanted.get("colour"); recolour(); }
  if (wanted.has("search")) { byId("search").value = wanted.get("search"); find(); }
  for (const kind of KINDS) if (wanted.has(kind)) choose(kind, number(kind));
  if (wanted.has("fit")) actions.f();
  document.body.dataset.nodes = data.nodes.length;
}

byId("slider").addEventListener("input", (event) => show(state.graph, Number(event.target.value), true));
byId("back").addEventListener("click", actions.ArrowLeft);
byId("forth").addEventListener("click", actions.ArrowRight);
byId("search").addEventListener("input", find);
byId("colour").addEventListener("change", recolour);
byId("theme").addEventListener("click", actions.t);
byId("help").addEventListener("click", actions["?"]);
byId("fit").addEventListener("click", actions.f);
byId("split").addEventListener("click", actions.b);
window.addEventListener("resize", () => { drawBars(); if (memory.drawn) memory.draw(); });
window.addEventListener("beforeprint", () => { code.fillAll(); first.resize(); first.fit(false); first.draw(); });
begin();
requestAnimationFrame(() => requestAnimationFrame(() => { document.body.dataset.ready = Math.round(performance.now()); }));
