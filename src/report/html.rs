//! How the page looks: light and dark, on a desk, on a telephone and on paper.

pub const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

pub const STYLE: &str = "<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --grid: #d8dee4; --paper: #ffffff;
  --c0: #0b5cc2; --c1: #c2410c; --c2: #0f766e; --c3: #7e22ce; --c4: #a16207; --c5: #be185d; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #a6b1bd; --grid: #343b44; --paper: #0f1318;
    --c0: #6cb2ff; --c1: #ffa45c; --c2: #5eead4; --c3: #d8b4fe; --c4: #fcd34d; --c5: #f9a8d4; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .2rem; } p { margin: .3rem 0; }
h1, td, th, .findings { overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; } .for-narrow { display: none; }
svg text { fill: var(--soft); font-size: 12px; } svg .title { fill: var(--ink); }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--grid); }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
polyline { fill: none; stroke: currentColor; }
.join { stroke-width: 1.5; } .line { stroke-width: 1; opacity: .6; } .limit { stroke-width: 1.5; stroke-dasharray: 6 4; }
.dots { stroke-width: 1.2; stroke-dasharray: 2 3; }
.bar { stroke: currentColor; stroke-width: 1.5; }
.full { fill: currentColor; stroke: currentColor; } .hollow { fill: var(--paper); stroke: currentColor; stroke-width: 1.5; }
.source, .key, .caveat { color: var(--soft); font-size: .875rem; } .legend span { margin-right: 1rem; font-weight: 600; }
.findings { padding-left: 1.3rem; } .findings li { margin: .5rem 0; } .caveat { display: block; }
code { font-size: .9em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .5rem; border-bottom: 1px solid var(--grid); vertical-align: bottom; }
.scroll td { white-space: nowrap; } .scroll td:nth-child(2), .scroll th:nth-child(2) { text-align: left; }
.facts th, .facts td { text-align: left; vertical-align: top; } .facts th:first-child { white-space: nowrap; }
@media screen and (max-width: 40rem) { .for-wide { display: none; } .for-narrow { display: block; }
  .facts, .facts tbody, .facts tr, .facts td { display: block; } .facts tr:first-child, .facts th { border: 0; }
  .facts tr:first-child { display: none; } .facts td[data-run]::before { content: attr(data-run) ': '; font-weight: 600; } .facts th { display: block; padding-bottom: 0; } }
@page { size: A4; margin: 1.5cm; }
@media print { body { font-size: 11pt; max-width: none; margin: 0; padding: 0; } table { font-size: 9pt; }
  .scroll { overflow: visible; } .scroll th, .scroll td { padding: .1rem .3rem; }
  section, tr, li { break-inside: avoid; } h2 { break-after: avoid; } }
</style>
";

/// Text that stands for itself in HTML, in attributes too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
