"use strict";
// What is known: the data of the page, and what belongs to what.
// All texts reach the page by textContent or by canvas text, so no name in a graph becomes markup.

const data = JSON.parse(document.getElementById("data").textContent);
document.getElementById("data").remove();
const byId = (id) => document.getElementById(id);

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// Kinds of things that belong together: "node", "line", "unit", "buffer". Each is known by a number.
const KINDS = ["node", "line", "unit", "buffer"];
const links = (() => {
  const lineNodes = data.lines.map(() => []);
  const lineUnits = data.lines.map(() => []);
  const unitNodes = data.units.map(() => []);
  const unitBuffers = data.units.map(() => []);
  const bufferUnits = data.buffers.map(() => []);
  const nodeBuffers = new Map();
  const bufferNumber = new Map(data.buffers.map((b, k) => [b.name, k]));
  data.nodes.forEach(([lines, units], node) => {
    for (const [line] of lines) if (lineNodes[line].at(-1) !== node) lineNodes[line].push(node);
    for (const unit of units) unitNodes[unit].push(node);
  });
  data.units.forEach((u, unit) => {
    for (const [line] of u.lines) if (lineUnits[line].at(-1) !== unit) lineUnits[line].push(unit);
    for (const name of new Set([...u.reads, ...u.writes])) {
      const b = bufferNumber.get(name);
      if (b === undefined) continue;
      unitBuffers[unit].push(b);
      bufferUnits[b].push(unit);
    }
  });
  data.buffers.forEach((b, k) => {
    for (const node of b.nodes || []) {
      if (!nodeBuffers.has(node)) nodeBuffers.set(node, []);
      nodeBuffers.get(node).push(k);
    }
  });
  return { lineNodes, lineUnits, unitNodes, unitBuffers, bufferUnits, nodeBuffers, bufferNumber };
})();

// Everything that belongs to a thing: a set of numbers for each kind.
function related(kind, number) {
  const found = { node: new Set(), line: new Set(), unit: new Set(), buffer: new Set(), kind, number };
  if (kind === null || number < 0) return found;
  found[kind].add(number);
  const add = (word, numbers) => { for (const n of numbers || []) found[word].add(n); };
  if (kind === "node") {
    const [lines, units] = data.nodes[number] || [[], []];
    add("line", lines.map((l) => l[0]));
    add("unit", units);
    add("buffer", links.nodeBuffers.get(number));
  } else if (kind === "line") {
    add("node", links.lineNodes[number]);
    add("unit", links.lineUnits[number]);
    for (const node of found.node) add("unit", data.nodes[node][1]);
  } else if (kind === "unit") {
    add("node", links.unitNodes[number]);
    add("line", data.units[number].lines.map((l) => l[0]));
    add("buffer", links.unitBuffers[number]);
  } else {
    add("node", data.buffers[number].nodes);
    add("unit", links.bufferUnits[number]);
    for (const node of found.node) add("line", data.nodes[node][0].map((l) => l[0]));
  }
  return found;
}

// colours ------------------------------------------------------------------------------------------

const theme = { dark: false, text: "", soft: "", bg: "", line: "", accent: "", add: "", gone: "" };
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  theme.dark = document.documentElement.dataset.theme === "dark";
  for (const word of ["text", "soft", "bg", "raised", "line", "accent", "add", "gone"]) {
    theme[word] = style.getPropertyValue(`--${word}`).trim();
  }
  theme.mono = style.getPropertyValue("--mono").trim();
}

// The hue of a unit: neighbours differ by the golden angle.
const hue = (unit) => (28 + unit * 137.508) % 360;
function unitColour(unit, part = "stripe") {
  const h = hue(unit).toFixed(0);
  if (part === "stripe") return `hsl(${h} 68% ${theme.dark ? 58 : 46}%)`;
  return `hsl(${h} ${theme.dark ? "42% 20%" : "80% 92%"})`;
}
function familyColour(family, part) {
  const row = data.colours[family] || data.colours.view;
  return row[(part === "fill" ? 0 : 1) + (theme.dark ? 2 : 0)];
}
const hottest = Math.max(1e-30, ...data.units.map((u) => u.seconds || 0));
function heatColour(unit, part) {
  const seconds = data.units[unit] ? data.units[unit].seconds : undefined;
  if (seconds === undefined) return part === "fill" ? theme.raised : theme.line;
  const share = Math.sqrt(seconds / hottest);
  const h = 52 - 48 * share;
  const l = theme.dark ? 16 + 22 * share : 95 - 32 * share;
  return part === "fill" ? `hsl(${h} ${60 + 30 * share}% ${l}%)` : `hsl(${h} 80% ${theme.dark ? 55 : 42}%)`;
}

const bytesText = (n) => {
  if (n === null || n === undefined) return "?";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let k = 0;
  while (n >= 1024 && k < 4) { n /= 1024; k += 1; }
  return `${k ? n.toFixed(n < 10 ? 1 : 0) : n} ${units[k]}`;
};
const secondsText = (s) => s >= 1 ? `${s.toFixed(2)} s` : s >= 1e-3 ? `${(s * 1e3).toFixed(2)} ms` : `${(s * 1e6).toFixed(1)} µs`;
