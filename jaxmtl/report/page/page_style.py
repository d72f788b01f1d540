"""How a page looks, and the little script that sorts its tables."""

# Contrast of texts is at least 4.5 to 1 in both schemes, of marks at least 3 to 1.
STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --raised: #f6f7f8; --ink: #262626; --soft: #595959; --grid: #e3e3e3;
  --faint: #b8b8b8; --shared: #7f7f7f; --blue: #0072b2; --vermilion: #d55e00;
  --better: #005f94; --worse: #a84800;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #16181b; --raised: #1f2226; --ink: #e8e8e6; --soft: #b3b3b0; --grid: #34373b;
    --faint: #5c6064; --shared: #a6a6a6; --blue: #56b4e9; --vermilion: #f08a3c;
    --better: #7cc6f0; --worse: #f5a563;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 70rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans",
    "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif;
  overflow-wrap: break-word;
}
p, ul, dl, figcaption { max-width: 46rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .7rem; padding-top: .7rem;
  border-top: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
.about, figcaption, caption, .note, footer { color: var(--soft); }
.about { margin: 0; }
.answer { margin: 1.4rem 0 0; padding: 1rem 1.2rem; background: var(--raised);
  border-left: 4px solid var(--blue); max-width: 52rem; }
.answer p { margin: .4rem 0 0; max-width: none; }
.answer p.long:first-child { font-size: 1.05rem; font-weight: 400; line-height: 1.5; }
.answer p:first-child { margin: 0; font-size: 1.15rem; font-weight: 600; line-height: 1.4; }
details { margin: 2.6rem 0 0; border-top: 1px solid var(--grid); padding-top: .7rem; }
summary { cursor: pointer; font-weight: 600; font-size: 1.2rem; }
details.inner { margin: 1rem 0 0; border: 0; padding: 0; }
.inner summary { font-size: 1rem; }
figure { margin: 0; }
.picture, .wide { overflow-x: auto; }
.wide:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
.picture svg { display: block; width: 100%; min-width: 36rem; max-width: 54rem; height: auto;
  margin: 0 auto; font-family: inherit; }
.picture svg * { stroke-linejoin: round; stroke-linecap: butt; }
.picture svg text { stroke: none; }
figcaption { margin-top: .6rem; font-size: .9rem; }
table { border-collapse: collapse; font-size: .875rem; width: 100%;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .6rem; font-size: 1em; caption-side: top; }
caption span { display: block; max-width: min(46rem, 100vw - 2.5rem); }
th, td { padding: .36rem .5rem; text-align: right; vertical-align: baseline; white-space: nowrap; }
thead th { font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--ink); }
thead tr:not(:last-child) th[colspan] { border-bottom: 1px solid var(--faint); text-align: center; }
thead th { white-space: normal; word-break: keep-all; min-width: 3.6rem; }
tbody th, thead th.first, td.word { text-align: left; }
tbody th { font-weight: 400; }
tbody tr { border-bottom: 1px solid var(--grid); }
tbody tr.lines th { padding-top: 1.1rem; color: var(--soft); font-style: italic; }
tbody tr.reference > * { background: var(--raised); }
td small, th small { display: block; color: var(--soft); font-size: .82em; font-weight: 400; }
td.best { font-weight: 700; }
td.best small { font-weight: 400; }
.badge { display: inline-block; margin-left: .4rem; padding: 0 .4rem; font-size: .78em;
  border: 1px solid var(--faint); border-radius: .6rem; color: var(--soft); }
.better { color: var(--better); font-weight: 600; }
.worse, .diverged { color: var(--worse); font-weight: 600; }
th button { all: unset; cursor: pointer; text-decoration: underline dotted var(--faint);
  text-underline-offset: .2em; }
th button:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr;
  gap: .35rem 1.2rem; margin: 0; }
dt { font-weight: 600; }
dd > code { color: var(--soft); font-size: .85em; }
dd { margin: 0; min-width: 0; }
ul { padding-left: 1.2rem; margin: .4rem 0; }
li { margin: .35rem 0; }
pre { margin: 0; padding: .6rem .8rem; background: var(--raised); white-space: pre-wrap;
  overflow-wrap: anywhere;
  font: .85rem/1.45 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
footer { margin-top: 2.6rem; padding-top: .7rem; border-top: 1px solid var(--grid);
  font-size: .85rem; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: .1rem; }
  dd { margin-bottom: .6rem; }
}
@media print {
  @page { margin: 14mm; }
  html { font-size: 10pt; }
  body { max-width: none; padding: 0; }
  table { font-size: 8pt; }
  th, td { padding: .2rem .3rem; }
  thead th { min-width: 0; }
  .wide, .picture { overflow: visible; }
  .picture svg { min-width: 0; max-width: 100%; max-height: 15cm; }
  .picture, figcaption, caption, tr, dt, li, .answer { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  th button { text-decoration: none; }
}
"""

# Each body is sorted for itself: contestants stay apart from lines.
SCRIPT = """
for (const table of document.querySelectorAll("table[data-sorts]")) {
  const heads = [...table.tHead.querySelectorAll("th[data-column]")];
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[Number(head.dataset.column)].dataset.value;
      for (const body of table.tBodies) {
        const fixed = [...body.rows].filter((row) => row.classList.contains("lines"));
        const rows = [...body.rows].filter((row) => !row.classList.contains("lines"));
        const known = rows.filter((row) => value(row) !== "");
        known.sort((a, b) => {
          const [x, y] = [value(a), value(b)];
          const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
          return up ? order : -order;
        });
        body.append(...fixed, ...known, ...rows.filter((row) => value(row) === ""));
      }
    });
  }
}
"""
