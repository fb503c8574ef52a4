"use strict";
// Search over the headings of all pages, and the menu of narrow windows.

const byId = (id) => document.getElementById(id);
const up = document.body.dataset.up;
const box = byId("search"), hits = byId("hits");
let chosen = -1;

function found(words) {
  const rows = [];
  for (const [file, title, headings] of pages) {
    const score = (text) => words.every((w) => text.toLowerCase().includes(w));
    if (score(title)) rows.push([0, file, title, ""]);
    for (const [anchor, text] of headings) {
      if (score(text)) rows.push([1, `${file}#${anchor}`, text, title]);
      else if (score(`${title} ${text}`)) rows.push([2, `${file}#${anchor}`, text, title]);
    }
  }
  return rows.sort((a, b) => a[0] - b[0] || a[2].length - b[2].length).slice(0, 14);
}

function show() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = words.length ? found(words) : [];
  hits.replaceChildren(...rows.map(([, link, text, where]) => {
    const a = document.createElement("a"), small = document.createElement("small");
    a.href = up + link;
    small.textContent = where;
    a.append(text, small);
    const li = document.createElement("li");
    li.append(a);
    return li;
  }));
  if (words.length && !rows.length) {
    const li = document.createElement("li");
    li.textContent = "no heading has these words";
    hits.append(li);
  }
  hits.hidden = !words.length;
  chosen = -1;
}

function choose(step) {
  const links = [...hits.querySelectorAll("a")];
  if (!links.length) return;
  chosen = (chosen + step + links.length) % links.length;
  links.forEach((a, k) => a.classList.toggle("chosen", k === chosen));
  links[chosen].scrollIntoView({block: "nearest"});
}

box.addEventListener("input", show);
box.addEventListener("keydown", (e) => {
  if (e.key === "ArrowDown" || e.key === "ArrowUp") {
    e.preventDefault();
    choose(e.key === "ArrowDown" ? 1 : -1);
  } else if (e.key === "Enter") {
    (hits.querySelector("a.chosen") || hits.querySelector("a"))?.click();
  } else if (e.key === "Escape") {
    box.value = "";
    show();
    box.blur();
  }
});
document.addEventListener("keydown", (e) => {
  if (e.key === "/" && document.activeElement !== box) {
    e.preventDefault();
    box.focus();
  }
});
document.addEventListener("click", (e) => {
  if (!e.target.closest(".find")) hits.hidden = true;
});
byId("menu").addEventListener("click", () => {
  const open = byId("nav").classList.toggle("open");
  byId("menu").setAttribute("aria-expanded", open);
});
const here = document.querySelector("nav [aria-current]"), list = byId("nav");
list.scrollTop = here ? here.offsetTop - list.clientHeight / 2 : 0;
document.body.dataset.ready = "1";
