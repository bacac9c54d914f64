"""The style sheet of a report's page."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1d22; --soft: #5c6370; --line: #d8dbe1; --band: #f4f5f8;
  --alarm: #b3261e; --alarm-paper: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --ink: #e4e6eb; --soft: #9da5b4; --line: #343a44;
  --band: #1c1f26; --alarm: #ff8a80; --alarm-paper: #3a1c1a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 90rem; padding: 1rem clamp(.75rem, 3vw, 2.5rem) 3rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { margin: .5rem 0; max-width: 70ch; color: var(--soft); }
small, nav { font-size: .85rem; }
small { color: var(--soft); font-weight: normal; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
a { color: inherit; }
code { font-size: .8rem; overflow-wrap: anywhere; }
td code { white-space: nowrap; }
.quick { border: 2px solid var(--alarm); border-radius: .3rem; background: var(--alarm-paper); color: var(--alarm);
  padding: .5rem .8rem; max-width: none; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .15rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { display: block; } dd { margin: 0 0 .4rem; } }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll:focus-visible, a:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
table { border-collapse: separate; border-spacing: 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; color: var(--soft); font-weight: 600; min-width: 5rem; }
tbody th { position: sticky; left: 0; background: var(--paper); font-weight: 600;
  min-width: clamp(6.5rem, 22vw, 13rem); max-width: 14rem; overflow-wrap: break-word; }
tbody tr:nth-child(even) > * { background: var(--band); }
.n { text-align: right; white-space: nowrap; }
thead .n { white-space: normal; }
td.t { max-width: 30rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; margin: .5rem 0 .2rem; overflow-wrap: anywhere; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem 2rem; }
.panels svg { display: block; width: 100%; max-width: 42rem; stroke-linejoin: round; stroke-linecap: butt; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .5rem 0; padding: 0; }
.swatch { width: 34px; height: 10px; margin-right: .4rem; fill: none; }
img { display: block; image-rendering: pixelated; max-width: none; }
.sheets { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 33rem), 1fr)); gap: 1rem 1.5rem; }
.sheet { display: flex; font-size: .65rem; }
.sheet ol { list-style: none; margin: 1.2rem 0 0; padding: 0 .4rem 0 0; width: 5.6rem; flex: none; position: sticky;
  left: 0; background: var(--paper); }
.sheet li { display: flex; align-items: center; height: var(--row); line-height: 1.15; overflow: hidden; }
.sheet bdi { overflow-wrap: anywhere; max-height: 100%; }
.heads { display: flex; height: 1.2rem; color: var(--soft); }
.heads span { flex: none; }
.pairs { display: flex; gap: .6rem; list-style: none; margin: 0; padding: 0 0 .4rem; font-size: .75rem; }
.pairs li { flex: none; padding: 3px; border: 2px solid transparent; }
.pairs li.copy { border-color: var(--alarm); border-radius: .2rem; }
.pairs .name { display: block; width: 0; min-width: 100%; overflow-wrap: anywhere; line-height: 1.2; }
.pairs strong { color: var(--alarm); }
"""
