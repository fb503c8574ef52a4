"use strict";
// Everything shown comes from the data block as text nodes: no name in a graph becomes markup.
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.querySelector("main svg");
const world = document.getElementById("world");
const panel = document.querySelector("aside");
const search = document.getElementById("search");
const hitCount = document.getElementById("hits");
const nodes = new Map();
for (const g of svg.querySelectorAll(".node")) nodes.set(g.dataset.k, g);
const edges = [...svg.querySelectorAll("[data-s]")];

// the view -----------------------------------------------------------------------------------------

const view = { x: 0, y: 0, scale: 1 };
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
const show = () =>
  world.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);

function zoom(factor, px, py) {
  const scale = clamp(view.scale * factor, 0.01, 8);
  view.x = px - ((px - view.x) * scale) / view.scale;
  view.y = py - ((py - view.y) * scale) / view.scale;
  view.scale = scale;
  show();
}

function fit(readable) {
  const room = svg.getBoundingClientRect();
  const whole = Math.min(room.width / data.width, room.height / data.height, 1.25);
  // A tall picture opens at its top, large enough to read.
  view.scale = readable ? Math.max(whole, Math.min(0.75, room.width / data.width), 0.3) : whole;
  view.x = Math.max((room.width - data.width * view.scale) / 2, 0);
  view.y = 0;
  show();
}

function centre(key) {
  const room = svg.getBoundingClientRect();
  const box = nodes.get(key).getBoundingClientRect();
  view.x += room.left + room.width / 2 - (box.left + box.width / 2);
  view.y += room.top + room.height / 2 - (box.top + box.height / 2);
  show();
}

svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const room = svg.getBoundingClientRect();
  const step = event.deltaMode ? event.deltaY * 16 : event.deltaY;
  zoom(Math.exp(-step / 400), event.clientX - room.left, event.clientY - room.top);
}, { passive: false });

let held = null;
svg.addEventListener("pointerdown", (event) => {
  held = { x: event.clientX, y: event.clientY, moved: false, target: event.target };
});
svg.addEventListener("pointermove", (event) => {
  if (!held || !event.buttons) return;
  const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
  if (!held.moved && Math.hypot(dx, dy) < 4) return;
  if (!held.moved) svg.setPointerCapture(event.pointerId);
  held.moved = true;
  svg.classList.add("moving");
  view.x += dx;
  view.y += dy;
  held.x = event.clientX;
  held.y = event.clientY;
  show();
});
svg.addEventListener("pointerup", () => {
  svg.classList.remove("moving");
  if (held && !held.moved) {
    const node = held.target.closest(".node");
    choose(node ? node.dataset.k : null);
  }
  held = null;
});

// the panel ----------------------------------------------------------------------------------------

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function links(word, keys) {
  if (!keys.length) return;
  panel.append(element("h3", word));
  for (const key of new Set(keys)) {
    const button = element("button", data.boxes[key].title);
    button.addEventListener("click", () => { choose(key); centre(key); });
    panel.append(button);
  }
}

let chosen = null;
function choose(key) {
  if (chosen !== null) nodes.get(chosen).classList.remove("chosen");
  chosen = key;
  for (const edge of edges) {
    edge.classList.toggle("on", key !== null && (edge.dataset.s === key || edge.dataset.t === key));
  }
  panel.replaceChildren();
  if (key === null) {
    panel.append(element("p", data.help));
    return;
  }
  nodes.get(key).classList.add("chosen");
  const box = data.boxes[key];
  panel.append(element("h2", box.title));
  const list = document.createElement("dl");
  for (const [word, text] of box.details) {
    list.append(element("dt", word), element("dd", text, text.includes("\n") ? "code" : ""));
  }
  panel.append(list);
  const lines = edges.filter((e) => e.classList.contains("edge"));
  links("reads", lines.filter((e) => e.dataset.t === key).map((e) => e.dataset.s));
  links("read by", lines.filter((e) => e.dataset.s === key).map((e) => e.dataset.t));
}

// search -------------------------------------------------------------------------------------------

let hits = [];
let current = -1;
function find() {
  const wanted = search.value.trim().toLowerCase();
  for (const key of hits) nodes.get(key).classList.remove("hit");
  hits = [];
  current = -1;
  if (wanted) {
    for (const [key, box] of Object.entries(data.boxes)) {
      const text = [box.title, ...box.details.map((d) => d[1])].join("\n").toLowerCase();
      if (text.includes(wanted)) hits.push(key);
    }
  }
  for (const key of hits) nodes.get(key).classList.add("hit");
  hitCount.textContent = wanted ? `${hits.length} found` : "";
}
function next(step) {
  if (!hits.length) return;
  current = (current + step + hits.length) % hits.length;
  choose(hits[current]);
  centre(hits[current]);
  hitCount.textContent = `${current + 1} of ${hits.length}`;
}
search.addEventListener("input", find);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") { search.value = ""; find(); search.blur(); }
});
document.addEventListener("keydown", (event) => {
  if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
  const room = svg.getBoundingClientRect();
  const middle = [room.width / 2, room.height / 2];
  if (event.key === "/") { event.preventDefault(); search.focus(); }
  if (event.key === "f") fit(false);
  if (event.key === "+" || event.key === "=") zoom(1.25, ...middle);
  if (event.key === "-") zoom(0.8, ...middle);
  if (event.key === "Escape") choose(null);
});
document.getElementById("fit").addEventListener("click", () => fit(false));

choose(null);
fit(true);
const start = decodeURIComponent(location.hash.slice(1)); // page.html#3 opens at box 3
if (nodes.has(start)) {
  choose(start);
  centre(start);
}
