// A picture of a graph on a canvas: moving, zooming, hit tests. What is outside is not drawn, and
// what is too small to be read is drawn as less.

const CHUNK = 128; // boxes or edges that share a rectangle for culling
const FONT = 12.5, SMALL = 11, PITCH = 14.5, PAD = 7;

class Picture {
  constructor(raw) {
    const n = raw.n;
    this.count = n.length / 7;
    this.box = new Int32Array(this.count);
    this.key = new Int32Array(this.count);
    this.again = new Uint8Array(this.count);
    this.rect = new Float32Array(4 * this.count);
    for (let k = 0; k < this.count; k += 1) {
      this.box[k] = n[7 * k];
      this.key[k] = n[7 * k + 1];
      this.again[k] = n[7 * k + 2];
      for (let j = 0; j < 4; j += 1) this.rect[4 * k + j] = n[7 * k + 3 + j];
    }
    this.edges = Float32Array.from(raw.e);
    const starts = [];
    for (let at = 0; at < raw.e.length; at += 3 + 2 * raw.e[at + 2]) starts.push(at);
    this.starts = Uint32Array.from(starts);
    this.labels = raw.t;
    this.width = raw.w;
    this.height = raw.h;
    this.chunkNodes();
    this.chunkEdges();
    this.places = null;
  }

  chunkNodes() {
    this.nodeChunks = [];
    for (let first = 0; first < this.count; first += CHUNK) {
      const end = Math.min(first + CHUNK, this.count);
      const c = { first, end, x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
      for (let k = first; k < end; k += 1) {
        const [x, y, w, h] = this.rect.subarray(4 * k, 4 * k + 4);
        c.x0 = Math.min(c.x0, x); c.y0 = Math.min(c.y0, y);
        c.x1 = Math.max(c.x1, x + w); c.y1 = Math.max(c.y1, y + h);
      }
      this.nodeChunks.push(c);
    }
  }

  chunkEdges() {
    this.edgeChunks = [];
    for (let first = 0; first < this.starts.length; first += CHUNK) {
      const end = Math.min(first + CHUNK, this.starts.length);
      const c = { first, end, x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
      for (let k = first; k < end; k += 1) {
        const at = this.starts[k] + 3, stop = at + 2 * this.edges[at - 1];
        for (let j = at; j < stop; j += 2) {
          c.x0 = Math.min(c.x0, this.edges[j]); c.x1 = Math.max(c.x1, this.edges[j]);
          c.y0 = Math.min(c.y0, this.edges[j + 1]); c.y1 = Math.max(c.y1, this.edges[j + 1]);
        }
      }
      this.edgeChunks.push(c);
    }
  }

  // The boxes of a key; the first is no copy where there is one that is none.
  of(key) {
    if (!this.places) {
      this.places = new Map();
      for (let k = 0; k < this.count; k += 1) {
        if (!this.places.has(this.key[k])) this.places.set(this.key[k], []);
        const list = this.places.get(this.key[k]);
        if (this.again[k]) list.push(k); else list.unshift(k);
      }
    }
    return this.places.get(key) || [];
  }

  at(x, y) {
    let found = -1, area = Infinity;
    for (const c of this.nodeChunks) {
      if (x < c.x0 || x > c.x1 || y < c.y0 || y > c.y1) continue;
      for (let k = c.first; k < c.end; k += 1) {
        const left = this.rect[4 * k], top = this.rect[4 * k + 1];
        const w = this.rect[4 * k + 2], h = this.rect[4 * k + 3];
        if (x >= left && x <= left + w && y >= top && y <= top + h && w * h < area) {
          found = k;
          area = w * h;
        }
      }
    }
    return found;
  }

  // The keys that a box reads and those that read it.
  around(key) {
    const mine = new Set(this.of(key)), from = [], to = [];
    for (const at of this.starts) {
      const s = this.edges[at], t = this.edges[at + 1];
      if (mine.has(t)) from.push(this.key[s]);
      if (mine.has(s)) to.push(this.key[t]);
    }
    return { from: [...new Set(from)], to: [...new Set(to)] };
  }
}

class GraphView {
  // `look` answers questions about boxes: look.colours(box, key), look.mark(key), look.stripes(key)
  constructor(canvas, look, on) {
    this.canvas = canvas;
    this.look = look;
    this.on = on;
    this.context = canvas.getContext("2d");
    this.picture = null;
    this.before = null; // where boxes were, while they move
    this.view = { x: 0, y: 0, scale: 1 };
    this.waiting = false;
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.resize();
  }

  resize() {
    const room = this.canvas.parentElement.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    if (!room.width || !room.height) return;
    const first = !this.width;
    [this.width, this.height, this.ratio] = [room.width, room.height, ratio];
    this.canvas.width = Math.round(room.width * ratio);
    this.canvas.height = Math.round(room.height * ratio);
    if (first && this.picture) this.fit(true);
    this.draw();
  }

  show(picture, move) {
    const old = this.picture;
    this.before = null;
    if (old === picture) { this.redraw(); return; }
    if (old && move && this.width) {
      this.anchor(old, picture);
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (!calm && picture.count < 1500 && old.count < 1500) this.start(old);
    }
    this.picture = picture;
    if (!old || !move) this.fit(true);
    this.redraw();
  }

  // Moves the view so that what is near its middle stays where it is.
  anchor(old, next) {
    const mx = (this.width / 2 - this.view.x) / this.view.scale;
    const my = (this.height / 2 - this.view.y) / this.view.scale;
    let best = -1, distance = Infinity;
    for (let k = 0; k < old.count; k += 1) {
      if (old.again[k] || !next.of(old.key[k]).length) continue;
      const d = Math.hypot(old.rect[4 * k] - mx, old.rect[4 * k + 1] - my);
      if (d < distance) [best, distance] = [k, d];
    }
    if (best < 0) return;
    const there = next.of(old.key[best])[0];
    this.view.x += (old.rect[4 * best] - next.rect[4 * there]) * this.view.scale;
    this.view.y += (old.rect[4 * best + 1] - next.rect[4 * there + 1]) * this.view.scale;
    this.inBounds(next);
  }

  // A picture that fits into the window does not leave it.
  inBounds(picture) {
    const v = this.view, margin = 40;
    for (const [axis, room, size] of [["x", this.width, picture.width], ["y", this.height, picture.height]]) {
      const long = size * v.scale;
      if (long <= room) v[axis] = Math.min(Math.max(v[axis], 0), room - long);
      else v[axis] = Math.min(Math.max(v[axis], room - long - margin), margin);
    }
  }

  start(old) {
    const from = new Map();
    for (let k = 0; k < old.count; k += 1) {
      if (!old.again[k]) from.set(old.key[k], [old.rect[4 * k], old.rect[4 * k + 1]]);
    }
    this.before = { from, since: performance.now(), share: 0 };
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.before) {
        const t = (performance.now() - this.before.since) / 240;
        this.before.share = t >= 1 ? 1 : 1 - (1 - t) ** 3;
        if (t >= 1) this.before = null;
      }
      this.draw();
      if (this.before) this.redraw();
    });
  }

  // the view ---------------------------------------------------------------------------------------

  fit(readable) {
    const p = this.picture;
    if (!p || !this.width) return;
    const across = this.width / p.width, whole = Math.min(across, this.height / p.height, 1.2);
    // A tall picture opens at its top, large enough to read.
    this.view.scale = readable ? Math.max(whole, Math.min(0.8, Math.max(across, 0.45))) : whole;
    this.view.x = (this.width - p.width * this.view.scale) / 2;
    this.view.y = Math.max((this.height - p.height * this.view.scale) / 2, 0);
    if (readable && this.view.x < 0) this.overNodes();
    this.redraw();
  }

  // The first layer in the middle, where a picture is wider than the window.
  overNodes() {
    const p = this.picture, top = Math.min(p.count, 12);
    let sum = 0;
    for (let k = 0; k < top; k += 1) sum += p.rect[4 * k] + p.rect[4 * k + 2] / 2;
    if (top) this.view.x = this.width / 2 - (sum / top) * this.view.scale;
    this.inBounds(p);
  }

  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const v = this.view, scale = Math.min(Math.max(v.scale * factor, 0.002), 6);
    v.x = px - ((px - v.x) * scale) / v.scale;
    v.y = py - ((py - v.y) * scale) / v.scale;
    v.scale = scale;
    this.redraw();
    this.on.moved(this);
  }

  // Brings boxes into the window; nothing moves when they are in it already.
  reveal(keys, always) {
    if (!this.picture || !this.width) return;
    const found = keys.map((key) => this.picture.of(key)[0]).filter((k) => k !== undefined);
    if (!found.length) return;
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const k of found) {
      const [x, y, w, h] = this.picture.rect.subarray(4 * k, 4 * k + 4);
      x0 = Math.min(x0, x); y0 = Math.min(y0, y); x1 = Math.max(x1, x + w); y1 = Math.max(y1, y + h);
    }
    const v = this.view;
    if (always && v.scale < 0.5) v.scale = 0.8;
    const inside = x0 * v.scale + v.x > 0 && x1 * v.scale + v.x < this.width &&
      y0 * v.scale + v.y > 0 && y1 * v.scale + v.y < this.height;
    if (inside && !always) return;
    if ((x1 - x0) * v.scale > this.width || (y1 - y0) * v.scale > this.height) {
      const k = found[0];
      [x0, y0, x1, y1] = [this.picture.rect[4 * k], this.picture.rect[4 * k + 1],
        this.picture.rect[4 * k] + this.picture.rect[4 * k + 2], this.picture.rect[4 * k + 1] + this.picture.rect[4 * k + 3]];
    }
    v.x = this.width / 2 - ((x0 + x1) / 2) * v.scale;
    v.y = this.height / 2 - ((y0 + y1) / 2) * v.scale;
    this.redraw();
    this.on.moved(this);
  }

  // input ------------------------------------------------------------------------------------------

  listen() {
    const c = this.canvas;
    c.addEventListener("wheel", (event) => {
      event.preventDefault();
      const step = event.deltaMode ? event.deltaY * 16 : event.deltaY;
      this.zoom(Math.exp(-step / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    let held = null;
    c.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, moved: false };
    });
    c.addEventListener("pointermove", (event) => {
      if (!held || !event.buttons) {
        const k = this.under(event);
        c.classList.toggle("over", k >= 0);
        this.on.hover(this, k, event);
        return;
      }
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.moved && Math.hypot(dx, dy) < 4) return;
      if (!held.moved) c.setPointerCapture(event.pointerId);
      held.moved = true;
      c.classList.add("moving");
      this.view.x += dx;
      this.view.y += dy;
      [held.x, held.y] = [event.clientX, event.clientY];
      this.redraw();
      this.on.moved(this);
    });
    c.addEventListener("pointerup", (event) => {
      c.classList.remove("moving");
      if (held && !held.moved) this.on.click(this, this.under(event));
      held = null;
    });
    c.addEventListener("pointerleave", (event) => { if (!held) this.on.hover(this, -1, event); });
    c.addEventListener("dblclick", (event) => this.zoom(1.8, event.offsetX, event.offsetY));
  }

  under(event) {
    if (!this.picture) return -1;
    const v = this.view;
    return this.picture.at((event.offsetX - v.x) / v.scale, (event.offsetY - v.y) / v.scale);
  }

  // drawing ----------------------------------------------------------------------------------------

  draw() {
    const { context: c, picture: p, view: v } = this;
    if (!p || !this.width) return;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.fillStyle = theme.bg;
    c.fillRect(0, 0, this.width, this.height);
    c.setTransform(this.ratio * v.scale, 0, 0, this.ratio * v.scale, this.ratio * v.x, this.ratio * v.y);
    this.window = {
      x0: -v.x / v.scale, y0: -v.y / v.scale,
      x1: (this.width - v.x) / v.scale, y1: (this.height - v.y) / v.scale,
    };
    const parents = p.labels.length > 0;
    if (parents) this.drawNodes(true);
    this.drawEdges();
    this.drawNodes(false, parents);
    this.drawLabels();
    this.drawMap();
  }

  seen(chunk) {
    const w = this.window;
    return chunk.x1 >= w.x0 && chunk.x0 <= w.x1 && chunk.y1 >= w.y0 && chunk.y0 <= w.y1;
  }

  drawEdges() {
    const { context: c, picture: p, view: v } = this;
    const all = v.scale > 0.02;
    if (!all && p.starts.length > 20000) return; // lines between points of a pixel tell nothing
    const straight = v.scale < 0.22;
    c.globalAlpha = this.before ? this.before.share : v.scale < 0.1 ? 0.45 : 0.9;
    c.lineWidth = Math.max(1.1, 0.6 / v.scale);
    c.strokeStyle = theme.dark ? "#6e7681" : "#9aa3ad";
    const strong = [], tips = [];
    for (const chunk of p.edgeChunks) {
      if (!this.seen(chunk)) continue;
      c.beginPath();
      for (let k = chunk.first; k < chunk.end; k += 1) {
        const at = p.starts[k];
        const s = p.edges[at], t = p.edges[at + 1];
        if (this.look.edge(p.key[s], p.key[t])) { strong.push(k); continue; }
        this.trace(k, straight);
        if (!straight) tips.push(k);
      }
      c.stroke();
    }
    c.fillStyle = c.strokeStyle;
    this.drawTips(tips);
    if (strong.length) {
      c.globalAlpha = 1;
      c.lineWidth = Math.max(2.2, 1.6 / v.scale);
      c.strokeStyle = c.fillStyle = theme.accent;
      c.beginPath();
      for (const k of strong) this.trace(k, straight);
      c.stroke();
      this.drawTips(strong);
    }
    c.globalAlpha = 1;
  }

  trace(k, straight) {
    const c = this.context, e = this.picture.edges, at = this.picture.starts[k] + 3;
    const stop = at + 2 * e[at - 1];
    let x = e[at], y = e[at + 1];
    c.moveTo(x, y);
    for (let j = at + 2; j < stop; j += 2) {
      const u = e[j], w = e[j + 1];
      if (straight || Math.abs(u - x) < 1) c.lineTo(u, w);
      else c.bezierCurveTo(x, y + (w - y) / 2, u, w - (w - y) / 2, u, w);
      x = u;
      y = w;
    }
  }

  drawTips(numbers) {
    const c = this.context, e = this.picture.edges;
    if (this.view.scale < 0.25) return;
    c.beginPath();
    for (const k of numbers) {
      const at = this.picture.starts[k] + 3, end = at + 2 * e[at - 1] - 2;
      const x = e[end], y = e[end + 1];
      c.moveTo(x, y);
      c.lineTo(x - 3.6, y - 7);
      c.lineTo(x + 3.6, y - 7);
      c.closePath();
    }
    c.fill();
  }

  // Boxes with others inside are drawn first (`large`), beneath the edges.
  drawNodes(large, skip) {
    const { context: c, picture: p, view: v, window: w } = this;
    const flat = v.scale < 0.12;
    const groups = new Map();
    const loud = [];
    for (const chunk of p.nodeChunks) {
      if (!this.seen(chunk)) continue;
      for (let k = chunk.first; k < chunk.end; k += 1) {
        let x = p.rect[4 * k], y = p.rect[4 * k + 1];
        const wide = p.rect[4 * k + 2], high = p.rect[4 * k + 3];
        const family = data.boxes[p.box[k]][2];
        const holds = this.holds(k);
        if ((large && !holds) || (skip && holds)) continue;
        const from = this.before && !p.again[k] ? this.before.from.get(p.key[k]) : null;
        if (from) {
          x = from[0] + (x - from[0]) * this.before.share;
          y = from[1] + (y - from[1]) * this.before.share;
        }
        if (x > w.x1 || x + wide < w.x0 || y > w.y1 || y + high < w.y0) continue;
        const mark = this.look.mark(this, p.key[k]);
        if (mark) loud.push([k, x, y, mark]);
        if (flat) {
          const [fill, stroke] = this.look.colours(family, p.key[k]);
          const colour = v.scale < 0.06 ? stroke : fill;
          if (!groups.has(colour)) groups.set(colour, []);
          groups.get(colour).push(x, y, wide, high);
        } else this.drawBox(k, x, y, wide, high, family);
      }
    }
    const least = 1.2 / v.scale;
    for (const [colour, list] of groups) {
      c.fillStyle = colour;
      for (let j = 0; j < list.length; j += 4) {
        c.fillRect(list[j], list[j + 1], Math.max(list[j + 2], least), Math.max(list[j + 3], least));
      }
    }
    for (const [k, x, y, mark] of loud) this.drawMark(k, x, y, mark);
  }

  // Whether other boxes are drawn inside it.
  holds(k) {
    return this.picture.labels.length > 0 && data.boxes[this.picture.box[k]][2] === "control" && this.picture.rect[4 * k + 3] > 110;
  }

  drawBox(k, x, y, wide, high, family) {
    const { context: c, picture: p, view: v } = this;
    const key = p.key[k], box = data.boxes[p.box[k]];
    const [fill, stroke] = this.look.colours(family, key);
    const round = family === "output" ? high / 2 : 7;
    c.beginPath();
    c.roundRect(x, y, wide, high, round);
    c.fillStyle = fill;
    c.fill();
    c.lineWidth = 1.3;
    c.strokeStyle = stroke;
    if (p.again[k]) c.setLineDash([2, 3]);
    else if (family === "view") c.setLineDash([4, 3]);
    c.stroke();
    c.setLineDash([]);
    const stripes = family === "output" ? [] : this.look.stripes(key);
    if (stripes.length && v.scale > 0.16) {
      c.save();
      c.clip();
      const part = high / Math.min(stripes.length, 4);
      stripes.slice(0, 4).forEach((colour, n) => {
        c.fillStyle = colour;
        c.fillRect(x, y + n * part, 4.5, part);
      });
      c.restore();
    }
    if (v.scale < 0.28) return;
    const middle = x + wide / 2;
    c.textAlign = "center";
    c.fillStyle = family === "output" ? (theme.dark ? "#0d1117" : "#ffffff") : theme.text;
    c.font = `600 ${FONT}px ${theme.mono}`;
    let at = y + PAD + FONT - 2;
    c.fillText(box[0], middle, at);
    if (v.scale < 0.42) return;
    c.fillStyle = theme.dark ? "#c9d1d9" : "#3b444f";
    c.font = `${SMALL}px ${theme.mono}`;
    for (const line of box[1]) {
      at += PITCH;
      c.fillText(line, middle, at);
    }
  }

  drawMark(k, x, y, mark) {
    const { context: c, picture: p, view: v } = this;
    const wide = Math.max(p.rect[4 * k + 2], 3 / v.scale), high = Math.max(p.rect[4 * k + 3], 3 / v.scale);
    const out = mark.out || 0;
    c.lineWidth = Math.max(mark.width, mark.width * 0.7 / v.scale);
    c.strokeStyle = mark.colour;
    if (mark.fill && !this.holds(k)) {
      c.globalAlpha = 0.3;
      c.fillStyle = mark.colour;
      c.beginPath();
      c.roundRect(x, y, wide, high, 7);
      c.fill();
      c.globalAlpha = 1;
    }
    c.setLineDash(mark.dash || []);
    c.beginPath();
    c.roundRect(x - out, y - out, wide + 2 * out, high + 2 * out, 8 + out);
    c.stroke();
    c.setLineDash([]);
  }

  drawLabels() {
    const c = this.context;
    if (this.view.scale < 0.3) return;
    c.fillStyle = theme.soft;
    c.font = `italic ${SMALL}px ${theme.mono}`;
    c.textAlign = "left";
    for (const [x, y, word] of this.picture.labels) c.fillText(word, x, y);
  }

  // A small map of the whole in the corner, where most of it is outside the window.
  drawMap() {
    const { context: c, picture: p, view: v } = this;
    this.map = null;
    const hidden = p.height * v.scale > 1.6 * this.height || p.width * v.scale > 1.6 * this.width;
    if (!hidden || this.width < 560) return;
    const scale = Math.min(110 / p.width, (this.height - 90) / p.height);
    const wide = Math.max(p.width * scale, 8), high = Math.max(p.height * scale, 8);
    const left = 10, top = 36;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.globalAlpha = 0.85;
    c.fillStyle = theme.raised;
    c.strokeStyle = theme.line;
    c.lineWidth = 1;
    c.fillRect(left - 4, top - 4, wide + 8, high + 8);
    c.strokeRect(left - 4, top - 4, wide + 8, high + 8);
    c.globalAlpha = 1;
    const step = Math.max(1, Math.floor(p.count / 4000));
    for (let k = 0; k < p.count; k += step) {
      if (this.holds(k)) continue;
      const key = p.key[k], mark = this.look.mark(this, key);
      c.fillStyle = mark ? mark.colour : this.look.colours(data.boxes[p.box[k]][2], key)[1];
      c.fillRect(left + p.rect[4 * k] * scale, top + p.rect[4 * k + 1] * scale,
        Math.max(p.rect[4 * k + 2] * scale, 1.4), Math.max(p.rect[4 * k + 3] * scale, mark ? 3 : 1.2));
    }
    const w = this.window;
    c.strokeStyle = theme.accent;
    c.lineWidth = 1.5;
    const x0 = Math.max(w.x0, 0), y0 = Math.max(w.y0, 0);
    const x1 = Math.min(w.x1, p.width), y1 = Math.min(w.y1, p.height);
    c.strokeRect(left + x0 * scale, top + y0 * scale, Math.max((x1 - x0) * scale, 3), Math.max((y1 - y0) * scale, 3));
    this.map = { left, top, scale, wide, high };
  }
}
