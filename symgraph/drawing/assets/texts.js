// The panes of text: the user's source and the code of each unit. Texts are coloured when they are
// first seen; a hidden pane costs nothing.

const GRAMMARS = {
  python: /(#.*)|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|\b(and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|None|not|or|pass|raise|return|True|False|try|while|with|yield)\b|\b(\d[\w.]*)/g,
  loops: /(\/\/.*)|("[^"\n]*")|\b(kernel|for|in|fold|yield|let|if|alloc|barrier|serial|vector|sizes|out|inout|over)\b|\b(\d[\w.]*)/g,
  llvm: /(;.*)|("[^"\n]*")|\b(define|declare|internal|private|constant|ret|br|phi|call|load|store|getelementptr|add|sub|mul|fadd|fsub|fmul|fdiv|icmp|fcmp|select|zext|sext|trunc|bitcast|insertelement|extractelement|shufflevector|label|void|ptr|float|double|i1|i8|i16|i32|i64)\b|(?<![\w.%@])(-?\d[\w.+]*)/g,
  ptx: /(\/\/.*)|("[^"\n]*")|^\s*(?:@!?%\w+\s+)?([.a-z][\w.:]*)|(?<![\w%$])(-?\b(?:0[xfdFD][\da-fA-F]+|\d+)\b)/gm,
  asm: /(#.*)|("[^"\n]*")|^\t([a-z][\w.]*)|([$-]?\b(?:0x[\da-f]+|\d+)\b)/gm,
};

function coloured(target, text, grammar) {
  const pattern = GRAMMARS[grammar];
  if (!pattern || text.length > 150000) { target.append(text); return; }
  let at = 0;
  for (const m of text.matchAll(pattern)) {
    const kind = m[1] !== undefined ? "c" : m[2] !== undefined ? "s" : m[3] !== undefined ? "w" : "n";
    if (m.index > at) target.append(text.slice(at, m.index));
    target.append(element("span", m[0], kind));
    at = m.index + m[0].length;
  }
  target.append(text.slice(at));
}

// A name of a buffer as something to hover.
function chip(text, kind, number) {
  const made = element("button", text, "chip");
  made.type = "button";
  made.dataset.kind = kind;
  made.dataset.number = number;
  if (kind === "unit") made.style.borderLeftColor = unitColour(number);
  return made;
}

class SourcePane {
  constructor(host) {
    this.host = host;
    this.rows = new Map(); // number of a line -> its row
    for (const { file, rows } of data.sources) {
      host.append(element("div", file, "file"));
      let last = rows.length ? rows[0][0] - 1 : 0;
      for (const [no, text, line] of rows) {
        if (no !== last + 1) host.append(element("div", "        ⋯", "row gap"));
        last = no;
        host.append(this.row(no, text, line));
      }
    }
    if (!data.sources.length) host.append(element("div", "No line of yours made these nodes.", "none"));
  }

  row(no, text, line) {
    const row = element("div", undefined, line < 0 ? "row faint" : "row made");
    const stripe = element("span", undefined, "stripe"), body = element("span", undefined, "text");
    const number = element("span", String(no), "no"), share = data.shares[line];
    if (share !== undefined) {
      number.style.background = `hsl(${52 - 48 * Math.sqrt(share)} 85% 50% / ${0.15 + 0.5 * Math.sqrt(share)})`;
      number.title = `${(100 * share).toFixed(1)}% of the time`;
    }
    row.append(stripe, number, body);
    coloured(body, text || " ", "python");
    if (line >= 0) {
      row.dataset.kind = "line";
      row.dataset.number = line;
      this.rows.set(line, { row, stripe, body, text });
    }
    return row;
  }

  paint() {
    for (const [line, { stripe }] of this.rows) {
      const found = related("line", line).unit;
      stripe.replaceChildren(...[...found].slice(0, 4).map((unit) => {
        const part = document.createElement("i");
        part.style.background = unitColour(unit);
        return part;
      }));
    }
  }

  light(found, spans) {
    for (const [line, parts] of this.rows) {
      const lit = found.line.has(line);
      if (parts.row.classList.contains("lit") === lit && !lit) continue;
      parts.row.classList.toggle("lit", lit);
      const span = spans.get(line);
      if (lit && span) {
        parts.body.replaceChildren(parts.text.slice(0, span[0]), element("mark", parts.text.slice(span[0], span[1])),
          parts.text.slice(span[1]));
        parts.marked = true;
      } else if (parts.marked) {
        parts.body.replaceChildren();
        coloured(parts.body, parts.text, "python");
        parts.marked = false;
      }
    }
  }

  reveal(found) {
    for (const line of found.line) {
      const parts = this.rows.get(line);
      if (parts) { intoView(this.host, parts.row); return; }
    }
  }
}

function intoView(host, child) {
  const a = host.getBoundingClientRect(), b = child.getBoundingClientRect();
  if (b.top < a.top + 30 || b.top > a.bottom - 60) host.scrollTop += b.top - a.top - a.height / 3;
}

// Each column of the code pane: word, title, the text of a unit.
const STAGES = [
  ["loops", "Loops", (u) => u.text.loops],
  ["scheduled", "Scheduled", (u) => u.text.scheduled],
  ["llvm", "LLVM IR", null],
  ["asm", "Assembly", null],
];

const onDevice = data.target !== "cpu";

function grammarOf(stage) {
  return stage === "asm" && onDevice ? "ptx" : stage;
}

class CodePane {
  constructor(host, tabs, on) {
    this.host = host;
    this.sections = new Map(); // unit -> its sections
    this.modules = new Map(data.modules.map((m) => [m.name, m]));
    this.stage = "";
    this.kept = new Map(); // stage -> its content
    const has = { loops: data.units.some((u) => u.text.loops), scheduled: data.units.some((u) => u.text.scheduled),
      llvm: data.modules.length > 0, asm: data.modules.some((m) => m.asm) };
    STAGES.forEach(([word, title], k) => {
      const tab = element("button", word === "asm" && onDevice ? "PTX" : title, "tab");
      tab.type = "button";
      tab.dataset.stage = word;
      tab.title = `key ${k + 1}`;
      tab.setAttribute("role", "tab");
      tab.disabled = !has[word];
      tab.addEventListener("click", () => on(word));
      tabs.append(tab);
    });
    this.tabs = tabs;
    this.has = has;
  }

  show(stage) {
    if (this.stage === stage) return;
    this.stage = stage;
    for (const tab of this.tabs.children) {
      const on = tab.dataset.stage === stage;
      tab.classList.toggle("on", on);
      tab.setAttribute("aria-selected", on);
    }
    if (!this.kept.has(stage)) this.kept.set(stage, this.has[stage] ? this.build(stage) : this.nothing());
    const { top, sections } = this.kept.get(stage);
    this.sections = sections;
    this.host.replaceChildren(top);
    this.host.scrollTop = 0;
  }

  nothing() {
    const text = data.notes[0] || "This page was made without this stage.";
    return { top: element("div", text, "none"), sections: new Map() };
  }

  build(stage) {
    const top = document.createElement("div"), sections = new Map();
    const seen = new Map(); // module -> the section that shows it
    data.units.forEach((u, unit) => {
      const section = element("section", undefined, "unit");
      section.style.borderLeftColor = unitColour(unit);
      section.style.marginLeft = `${u.depth * 14}px`;
      section.append(this.head(u, unit));
      if (stage === "loops" || stage === "scheduled") {
        if (u.text[stage]) this.later(section, u.text[stage], "loops", stage === "loops" ? u.params_before || u.params : u.params);
        else if (u.params) section.append(element("div", onDevice ? "a routine of the CPU" : "as above", "empty"));
      } else {
        for (const name of u.modules) {
          const text = this.modules.get(name)[stage];
          if (seen.has(name)) section.append(element("div", `${name}: shown above`, "empty"));
          else if (text) this.later(section, text, grammarOf(stage));
          seen.set(name, section);
        }
        if (!u.modules.length) section.append(element("div", onDevice ? "for the host" : "part of the function that calls all of them", "empty"));
      }
      top.append(section);
      sections.set(unit, section);
    });
    if (stage === "llvm" || stage === "asm") {
      for (const [name, m] of this.modules) {
        if (seen.has(name) || !m[stage]) continue;
        const section = element("section", undefined, "unit");
        const head = element("div", undefined, "head");
        head.append(element("b", name), element("span", "entry, checks and calls"));
        section.append(head);
        this.later(section, m[stage], grammarOf(stage));
        top.append(section);
      }
    }
    return { top, sections };
  }

  head(u, unit) {
    const head = element("div", undefined, "head");
    head.dataset.kind = "unit";
    head.dataset.number = unit;
    head.append(element("b", u.name));
    if (u.gist) head.append(element("span", u.gist));
    const name = (b) => { const held = data.buffers[links.bufferNumber.get(b)]; return (held && held.word) || b; };
    if (!u.params && u.writes.length) {
      const short = (list) => list.slice(0, 4).map(name).join(", ") + (list.length > 4 ? " …" : "");
      head.append(element("span", `${short(u.reads)} → ${short(u.writes)}`));
    }
    if (u.seconds !== undefined) head.append(element("span", secondsText(u.seconds)));
    return head;
  }

  // A text that is coloured when it comes into sight.
  later(section, text, grammar, params) {
    const pre = element("pre", undefined);
    const lines = text.split("\n").length;
    pre.style.minHeight = `${Math.min(lines, 4000) * 18}px`;
    section.style.containIntrinsicSize = `auto ${lines * 18 + 30}px`;
    section.append(pre);
    const fill = () => {
      if (pre.firstChild) return;
      pre.style.minHeight = "";
      coloured(pre, text, grammar);
      if (params) this.name(pre, params);
    };
    CodePane.watch(pre, fill);
  }

  // The names of parameters, as things to hover: each is a buffer.
  name(pre, params) {
    const buffers = new Map(params.map(([p, b]) => [p, links.bufferNumber.get(b)]));
    const walker = document.createTreeWalker(pre, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const node of texts) {
      const parts = node.data.split(/\b(p\d+)\b/);
      if (parts.length < 2) continue;
      node.replaceWith(...parts.map((part) => {
        const b = buffers.get(part);
        if (b === undefined) return part;
        const span = element("span", part, "p");
        span.dataset.kind = "buffer";
        span.dataset.number = b;
        span.title = data.buffers[b].word || data.buffers[b].name;
        return span;
      }));
    }
  }

  static watch(pre, fill) {
    CodePane.fills = CodePane.fills || new WeakMap();
    CodePane.fills.set(pre, fill);
    CodePane.observer = CodePane.observer || new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        CodePane.observer.unobserve(entry.target);
        CodePane.fills.get(entry.target)();
      }
    }, { rootMargin: "600px" });
    CodePane.observer.observe(pre);
  }

  // For print: everything at once.
  fillAll() {
    for (const pre of this.host.querySelectorAll("pre")) {
      const fill = CodePane.fills.get(pre);
      if (fill) fill();
    }
  }

  light(found, chosen) {
    for (const [unit, section] of this.sections) {
      section.classList.toggle("lit", found.unit.has(unit));
      section.classList.toggle("chosen", chosen.unit.has(unit));
    }
  }

  reveal(found) {
    for (const unit of found.unit) {
      const section = this.sections.get(unit);
      if (section) { intoView(this.host, section); return; }
    }
  }
}
