"""How the page looks: one style sheet, light and dark, from phone width up."""

from __future__ import annotations

STYLE = """
:root {
  --page: #fbfbf9; --panel: #ffffff; --text: #1d2327; --faint: #5c666d; --line: #dcdfdd; --accent: #0b5c8f; --whisker: #1d2327;
  --series0: #0072b2; --series1: #c65102; --series2: #00805c; --series3: #a2568a;
  --bar: #9fc5df; --bar-base: #eceeec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181b; --panel: #1b2024; --text: #e4e7e8; --faint: #9ba5ab; --line: #343b40;
    --accent: #7cc0ec; --whisker: #f3f5f6;
    --series0: #56b4e9; --series1: #e69f00; --series2: #3fc79a; --series3: #d993bd;
    --bar: #2f6f99; --bar-base: #2a3136;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 {
  font-size: 1.75rem; line-height: 1.25; margin: 0.2rem 0 0.9rem; font-weight: 650; letter-spacing: -0.01em;
  text-wrap: balance;
}
h2 { font-size: 1.2rem; margin: 0 0 0.6rem; font-weight: 650; }
h3 { font-size: 0.98rem; margin: 1.6rem 0 0.5rem; font-weight: 600; }
p { margin: 0 0 0.9rem; max-width: 46rem; }
section { margin-top: 3rem; padding-top: 1.6rem; border-top: 1px solid var(--line); }
.run { color: var(--faint); margin: 0; font-size: 0.9rem; }
.alarm { font-weight: 600; border-left: 3px solid var(--text); padding-left: 0.8rem; }
.missing { color: var(--faint); border-left: 3px solid var(--line); padding-left: 0.8rem; }
.scroll { overflow-x: auto; margin: 0.4rem 0 1rem; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td {
  text-align: left; padding: 0.45rem 1.1rem 0.45rem 0; border-bottom: 1px solid var(--line);
  vertical-align: middle;
}
th { font-weight: 600; color: var(--faint); font-size: 0.82rem; vertical-align: bottom; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
td.key { color: var(--faint); white-space: nowrap; }
.facts { margin: 0.4rem 0 1rem; }
.facts td { vertical-align: top; overflow-wrap: anywhere; }
.note { display: block; color: var(--faint); font-size: 0.82rem; max-width: 17rem; }
.rate { display: block; width: 12rem; height: 1.1rem; }
.scores table { width: 100%; }
.scores td:first-child { min-width: 9rem; }
th:last-child, td:last-child { padding-right: 0; }
td.number .note { white-space: nowrap; }
.scores tr.main td { font-weight: 600; }
.scores tr.main .note { font-weight: 400; }
.grid {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.6rem;
  margin: 0.8rem 0 1.2rem;
}
.films { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.6rem; }
.films figure { max-width: 42rem; }
figure { margin: 0; min-width: 0; }
figure > svg, figure > img, figure > video { display: block; width: 100%; height: auto; border-radius: 4px; }
figure > video { background: #000; }
figcaption, .caption { color: var(--faint); font-size: 0.85rem; margin-top: 0.45rem; line-height: 1.4; }
.grid svg text { fill: var(--text); }
.strip {
  display: grid; grid-template-columns: 5.2rem repeat(var(--columns), 1fr); gap: 0.35rem; margin: 0 0 1.8rem;
  max-width: 50rem;
}
.strip img { display: block; width: 100%; border-radius: 3px; }
.strip span { color: var(--faint); font-size: 0.8rem; align-self: center; line-height: 1.25; }
.strip span.head { text-align: center; }
.scale { display: block; height: 0.55rem; border-radius: 3px; margin-top: 0.5rem; }
.ends { display: flex; justify-content: space-between; color: var(--faint); font-size: 0.8rem; }
details { margin: 0.7rem 0; }
summary { cursor: pointer; color: var(--accent); font-size: 0.95rem; }
pre {
  overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: 4px;
  padding: 0.8rem 1rem; font-size: 0.8rem; line-height: 1.45;
}
code { font: 0.88em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (max-width: 36rem) {
  main { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.4rem; }
  section { margin-top: 2.2rem; }
  td, th { padding-right: 0.8rem; }
  .rate { width: 8rem; }
  .strip { grid-template-columns: repeat(var(--columns), 1fr); }
  .strip span.row { grid-column: 1 / -1; }
  .strip span.corner { display: none; }
}
@media print { details { display: block; } body { background: #fff; } }
"""
