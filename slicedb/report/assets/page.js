"use strict";
const all = (what, where) => [...(where || document).querySelectorAll(what)];
const one = (what) => document.querySelector(what);

// --- hints: whatever has data-tip says it at the pointer, or when it has the focus
const tip = one("#tip");
function say(target, x, y) {
  tip.textContent = target.dataset.tip;
  tip.classList.add("on");
  const wide = tip.offsetWidth, high = tip.offsetHeight;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - wide - 6)) + "px";
  tip.style.top = (y + 18 + high > innerHeight ? y - high - 10 : y + 18) + "px";
}
document.addEventListener("mousemove", (event) => {
  const target = event.target.closest("[data-tip]");
  if (target) say(target, event.clientX, event.clientY);
  else tip.classList.remove("on");
});
document.addEventListener("focusin", (event) => {
  const target = event.target.closest("[data-tip]");
  if (!target) return;
  const box = target.getBoundingClientRect();
  say(target, box.left, box.bottom);
});
document.addEventListener("focusout", () => tip.classList.remove("on"));

// --- copying
async function copy(button, text) {
  try { await navigator.clipboard.writeText(text); }
  catch {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
  }
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1200);
}
for (const button of all("[data-copy]"))
  button.onclick = (event) => { event.stopPropagation(); copy(button, button.dataset.copy); };

// --- sorting: the bodies of #verdicts go together with what they open, elsewhere rows
function sorter(table) {
  const heads = all("th.sort", table);
  heads.forEach((head) => {
    const by = () => {
      const down = head.getAttribute("aria-sort") === "ascending" ||
        (head.dataset.first === "down" && !head.hasAttribute("aria-sort"));
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = head.dataset.key, sign = down ? -1 : 1;
      const groups = table.tBodies.length > 1 ? [...table.tBodies] : all("tbody tr", table);
      const value = (g) => g.dataset[key] ?? "";
      groups.sort((a, b) => {
        const x = value(a), y = value(b), p = Number(x), q = Number(y);
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q);
      });
      const into = table.tBodies.length > 1 ? table : table.tBodies[0];
      groups.forEach((g) => into.append(g));
    };
    head.tabIndex = 0;
    head.onclick = by;
    head.onkeydown = (event) => { if (event.key === "Enter") by(); };
  });
}
all("table").forEach(sorter);

// --- verdicts: filter and open
const bodies = all("#verdicts tbody"), off = new Set(), search = one("#search");
function filter() {
  const words = (search ? search.value : "").toLowerCase().split(/\s+/).filter(Boolean);
  for (const body of bodies) {
    const text = body.dataset.text;
    body.hidden = off.has(body.dataset.verdict) || !words.every((word) => text.includes(word));
  }
}
if (search) search.oninput = filter;
for (const button of all("[data-show]")) button.onclick = () => {
  const name = button.dataset.show;
  off.has(name) ? off.delete(name) : off.add(name);
  button.classList.toggle("off");
  button.setAttribute("aria-pressed", String(!off.has(name)));
  filter();
};
for (const row of all("#verdicts .row")) {
  const open = () => { row.nextElementSibling.hidden = !row.nextElementSibling.hidden; };
  row.onclick = open;
  row.onkeydown = (event) => { if (event.key === "Enter") open(); };
}

// --- confusion: a cell shows its query
const shown = one("#cell-query");
if (shown) for (const cell of all("[data-query]")) {
  const pick = () => {
    all("[data-query].on").forEach((c) => c.classList.remove("on"));
    cell.classList.add("on");
    one("pre", shown);
    shown.querySelector("pre").textContent = cell.dataset.query;
    const button = shown.querySelector("button");
    button.hidden = false;
    button.onclick = () => copy(button, cell.dataset.query);
  };
  cell.onclick = pick;
  cell.onkeydown = (event) => { if (event.key === "Enter") pick(); };
}
const toggle = one("#as-shares");
if (toggle) toggle.onclick = () => {
  const shares = toggle.classList.toggle("on");
  toggle.textContent = shares ? "Show counts" : "Show shares of the row";
  all("#confusion [data-share]").forEach((c) => (c.textContent = shares ? c.dataset.share : c.dataset.count));
};

// --- worst samples
const looked = one("#looked");
if (looked) looked.onclick = () => {
  const on = one("#gallery").classList.toggle("looked");
  looked.textContent = on ? "Show the pictures" : "Show what the model looked at";
};

// --- cost: drag the price of asking a person
const price = one("#price");
if (price) {
  const data = JSON.parse(one("#cost-data").textContent);
  const { coverage, risk, doubt, box } = data, most = data.most;
  const X = (c) => c * box, Y = (v) => box - Math.min(v / most, 1) * box;
  const percent = (v) => (100 * v).toFixed(v < 0.1 ? 1 : 0) + " %";
  const draw = () => {
    const ask = Number(price.value), cost = coverage.map((c, i) => risk[i] * c + ask * (1 - c));
    let best = -1, least = ask;
    cost.forEach((v, i) => { if (v < least) { least = v; best = i; } });
    const path = [[0, ask], ...coverage.map((c, i) => [c, cost[i]])];
    one("#cost-line").setAttribute("d", "M" + path.map(([c, v]) => X(c).toFixed(1) + " " + Y(v).toFixed(1)).join("L"));
    const at = best < 0 ? 0 : coverage[best], dot = one("#cost-best");
    dot.setAttribute("cx", X(at)); dot.setAttribute("cy", Y(least));
    one("#price-said").textContent = ask.toFixed(2);
    one("#cost-said").textContent = best < 0
      ? `Asking about every sample is cheapest: ${least.toFixed(3)} a sample.`
      : `Answer where confidence >= ${(1 - doubt[best]).toFixed(3)}: ${percent(at)} answered, ` +
        `${least.toFixed(3)} a sample; answering all costs ${cost[cost.length - 1].toFixed(3)}.`;
  };
  price.oninput = draw;
  draw();
}
