// The memory plan: steps from left to right, a row for each slot of the arena, a bar for each buffer
// from the step that writes it to the last that reads it. Above it the bytes alive at each step.

class MemoryPane {
  constructor(host) {
    this.host = host;
    this.bars = new Map();
    this.heads = new Map();
    if (!data.buffers.length) { host.hidden = true; return; }
    const details = document.createElement("details");
    const total = data.slots.reduce((a, b) => a + (b || 0), 0);
    const alone = data.buffers.filter((b) => b.slot >= 0).reduce((a, b) => a + (b.bytes || 0), 0);
    const summary = document.createElement("summary");
    summary.append(element("b", "Memory plan"), ` ${bytesText(total)} for temporaries in ${data.slots.length} slots` +
      (alone > total ? ` (${bytesText(alone)} if nothing shared)` : "") + this.assumed());
    details.append(summary);
    details.addEventListener("toggle", () => { if (details.open && !this.drawn) this.draw(); });
    this.details = details;
    host.append(details);
  }

  assumed() {
    const sizes = Object.entries(data.sizes).filter(([n]) => !n.startsWith("?"));
    return sizes.length ? `, at ${sizes.map(([n, v]) => `${n} = ${v}`).join(", ")}` : "";
  }

  draw() {
    this.drawn = true;
    this.details.querySelector("svg")?.remove();
    this.bars.clear();
    this.heads.clear();
    const most = 1500;
    const steps = Math.max(1, ...data.units.map((u) => u.place + 1));
    const left = 120, width = Math.max(this.host.clientWidth - 40 - left, 240);
    const step = Math.max(width / steps, 3), rowHeight = 17, chart = 40;
    const rows = this.rows().slice(0, most);
    const kind = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(kind, "svg");
    const make = (name, attributes, text) => {
      const made = document.createElementNS(kind, name);
      for (const [word, value] of Object.entries(attributes)) made.setAttribute(word, value);
      if (text !== undefined) made.textContent = text;
      svg.append(made);
      return made;
    };
    const top = chart + 34;
    svg.setAttribute("width", left + step * steps + 6);
    svg.setAttribute("height", top + rows.length * rowHeight + 6);
    this.drawChart(make, steps, step, left, chart);
    this.drawHeads(make, step, left, chart + 26);
    rows.forEach(({ word, buffers }, k) => {
      const y = top + k * rowHeight;
      make("line", { x1: 0, x2: left + step * steps, y1: y + rowHeight - 0.5, y2: y + rowHeight - 0.5, class: "grid" });
      make("text", { x: 0, y: y + 12, class: "soft" }, word);
      for (const number of buffers) this.drawBar(make, number, y, step, left, rowHeight);
    });
    this.details.append(svg);
    if (this.rows().length > most) this.details.append(element("p", "… more rows"));
  }

  rows() {
    const rows = data.slots.map((bytes, k) => ({ word: `slot ${k} · ${bytesText(bytes)}`, buffers: [] }));
    const outside = [];
    data.buffers.forEach((b, number) => {
      if (b.slot >= 0) rows[b.slot].buffers.push(number);
      else if (b.role !== "constant") outside.push({ word: `${b.role} · ${bytesText(b.bytes)}`, buffers: [number] });
    });
    return [...rows, ...outside];
  }

  drawBar(make, number, y, step, left, rowHeight) {
    const b = data.buffers[number];
    const writer = data.units.findIndex((u) => u.depth === 0 && u.writes.includes(b.name));
    const outside = b.slot < 0;
    const [late, early] = this.shared(number).map((half) => half * step / 2); // one buffer in the place of another
    const wide = Math.max((b.last - b.first + 1) * step - 2 - late - early, 2);
    const from = left + b.first * step + 1 + late;
    const bar = make("rect", { x: from, y: y + 1.5, width: wide, height: rowHeight - 4, rx: 3, class: "bar" });
    const [fill, stroke] = writer >= 0 && !outside ? [unitColour(writer, "fill"), unitColour(writer)]
      : ["fill", "stroke"].map((part) => familyColour(b.role === "output" ? "control" : b.role, part));
    bar.style.fill = fill;
    bar.style.stroke = stroke;
    if (outside) bar.style.strokeDasharray = "3 2";
    bar.dataset.kind = "buffer";
    bar.dataset.number = number;
    this.bars.set(number, bar);
    const word = b.word || `${b.name}  ${b.type}`;
    const fits = Math.floor((wide - 8) / 6.4);
    if (fits > 2) {
      make("text", { x: from + 5, y: y + 12 }, word.length > fits ? `${word.slice(0, fits - 1)}…` : word);
    }
  }

  // Whether a buffer begins, or ends, in the step in which another one has its slot too.
  shared(number) {
    const b = data.buffers[number];
    const near = b.slot < 0 ? [] : data.buffers.filter((o) => o !== b && o.slot === b.slot);
    const begins = near.some((o) => o.last === b.first && o.first < b.first);
    const ends = near.some((o) => o.first === b.last && o.last > b.last);
    return [begins ? 1 : 0, ends ? 1 : 0];
  }

  drawHeads(make, step, left, y) {
    data.units.forEach((u, unit) => {
      if (u.depth) return;
      const fits = Math.floor(step / 6.4);
      const word = u.name.length > fits ? (fits >= 6 ? `${u.name.slice(0, fits - 1)}…` : "") : u.name;
      const stripe = make("rect", { x: left + u.place * step + 1, y: y + 3, width: Math.max(step - 2, 1), height: 3 });
      stripe.style.fill = unitColour(unit);
      if (!word && step < 12) return;
      const text = make("text", { x: left + u.place * step + 2, y, class: "head" }, word || "·");
      text.dataset.kind = "unit";
      text.dataset.number = unit;
      this.heads.set(unit, text);
    });
  }

  drawChart(make, steps, step, left, height) {
    const alive = new Array(steps).fill(0);
    for (const b of data.buffers) {
      if (b.slot < 0) continue;
      for (let k = b.first; k <= Math.min(b.last, steps - 1); k += 1) alive[k] += b.bytes || 0;
    }
    const peak = Math.max(...alive, 1);
    let path = `M${left} ${height}`;
    alive.forEach((n, k) => {
      const y = height - 4 - (n / peak) * (height - 10);
      path += `L${left + k * step} ${y}L${left + (k + 1) * step} ${y}`;
    });
    const area = make("path", { d: `${path}L${left + steps * step} ${height}Z` });
    area.style.fill = theme.accent;
    area.style.opacity = 0.28;
    make("text", { x: 0, y: 14 }, `peak ${bytesText(peak)}`);
    make("text", { x: 0, y: 28, class: "soft" }, "alive at a step");
  }

  light(found) {
    for (const [number, bar] of this.bars) bar.classList.toggle("lit", found.buffer.has(number));
    for (const [unit, text] of this.heads) text.classList.toggle("lit", found.unit.has(unit));
  }
}
