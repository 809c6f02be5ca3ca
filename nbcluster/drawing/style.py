"""The colours and the layout of views, in one piece of CSS. Follows the notebook's theme, light or dark.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with defective colour vision tell
apart; whatever a colour says, a number, a sign or a pattern says too.
"""

from __future__ import annotations

LABELS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#7F7F7F")
"""Fills of the task stream, by label; the last is for all further ones."""

ANSI = {
    "black": "#555555",
    "red": "#c92a2a",
    "green": "#2b8a3e",
    "yellow": "#a06a00",
    "blue": "#1c7ed6",
    "magenta": "#ae3ec9",
    "cyan": "#0c8599",
    "white": "#8a8a8a",
}
"""The colours of terminals, so that each is seen on white and on black."""

ANSI_DARK = {
    "black": "#a0a0a0",
    "red": "#ff8787",
    "green": "#69db7c",
    "yellow": "#ffd43b",
    "blue": "#74c0fc",
    "magenta": "#e599f7",
    "cyan": "#66d9e8",
    "white": "#f1f3f5",
}
"""The same on a dark page that says so; elsewhere the others do."""

CSS = (
    """
.nbc{font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,inherit);
max-width:60rem;padding:4px 2px}
.nbc p{margin:0 0 4px}
.nbc .nbc-dim{color:var(--jp-ui-font-color2,inherit)}
.nbc .nbc-note{font-size:11px;margin:2px 0 4px}
.nbc.nbc table{border-collapse:collapse;width:100%;margin:0 0 4px;table-layout:auto;font-size:inherit;border:0}
.nbc.nbc td,.nbc.nbc th{padding:2px 12px 2px 0;text-align:left;border:0;vertical-align:middle;background:none;
font-weight:400;max-width:none;white-space:nowrap}
.nbc.nbc tr,.nbc.nbc tbody tr:nth-child(n),.nbc.nbc tbody tr:hover{background:none}
.nbc.nbc td.nbc-bar{width:45%;min-width:8rem}
.nbc .nbc-track{display:flex;height:12px;border-radius:3px;overflow:hidden;
background:var(--jp-layout-color3,rgba(128,128,128,.25));
box-shadow:inset 0 0 0 1px var(--jp-border-color1,rgba(128,128,128,.5))}
.nbc .nbc-track>i{display:block;height:100%}
.nbc i.nbc-done{background:#0072B2}
.nbc i.nbc-running{background:repeating-linear-gradient(90deg,#56B4E9 0 4px,#56B4E988 4px 8px)}
.nbc i.nbc-failed{background:repeating-linear-gradient(45deg,#D55E00 0 4px,#FFB07C 4px 7px)}
.nbc i.nbc-cancelled{background:repeating-linear-gradient(135deg,#7F7F7F 0 3px,#7F7F7F55 3px 6px)}
.nbc ul.nbc-engines{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));gap:3px 12px;
margin:2px 0 4px;padding:0;list-style:none}
.nbc .nbc-engine{display:flex;align-items:center;gap:5px;margin:0;font-size:12px;white-space:nowrap}
.nbc .nbc-load{display:inline-block;width:42px;height:8px;border-radius:2px;overflow:hidden;
background:var(--jp-layout-color3,rgba(128,128,128,.25));
box-shadow:inset 0 0 0 1px var(--jp-border-color1,rgba(128,128,128,.5))}
.nbc .nbc-load>i{display:block;height:100%;background:#009E73}
.nbc svg{display:block;max-width:100%;height:auto;overflow:visible}
.nbc svg text{fill:currentColor;font:11px var(--jp-ui-font-family,system-ui,sans-serif)}
.nbc .nbc-stream{position:relative;max-width:900px}
.nbc .nbc-stream>i{position:absolute;left:0;font:11px/1 var(--jp-ui-font-family,system-ui,sans-serif);
transform:translateY(-50%)}
.nbc .nbc-stream>i::before{content:attr(data-t)}
.nbc .nbc-curves{display:flex;flex-wrap:wrap;gap:4px 18px;margin:2px 0 4px}
.nbc .nbc-curves figure{margin:0}
.nbc .nbc-curves figcaption{font-size:12px}
.nbc .nbc-key{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 4px 0 0}
.nbc .nbc-legend span{margin-right:12px;font-size:12px;white-space:nowrap}
.nbc .nbc-scroll{max-height:26em;overflow:auto;margin:4px 0}
.nbc .nbc-scroll svg{max-width:none}
.nbc .nbc-box{fill:var(--jp-layout-color1,transparent);stroke:var(--jp-border-color1,rgba(128,128,128,.7))}
.nbc .nbc-code{font:11px var(--jp-code-font-family,monospace)}
.nbc .nbc-small{font-size:11px;opacity:.85}
.nbc .nbc-edge{fill:none;stroke:currentColor;stroke-opacity:.45}
.nbc .nbc-head{fill:currentColor;fill-opacity:.6}
.nbc .nbc-sign{fill:none;stroke:#fff;stroke-width:1.8}
.nbc .nbc-g-waiting .nbc-mark{fill:#7F7F7F66}
.nbc .nbc-g-cancelled .nbc-mark{fill:#7F7F7F}
.nbc .nbc-g-running .nbc-mark{fill:#56B4E9}
.nbc .nbc-g-running .nbc-box{stroke:#56B4E9;stroke-width:1.8;stroke-dasharray:5 2}
.nbc .nbc-g-done .nbc-mark{fill:#0072B2}
.nbc .nbc-g-failed .nbc-mark{fill:#D55E00}
.nbc .nbc-g-failed .nbc-box{stroke:#D55E00;stroke-width:1.8}
.nbc .nbc-p-waiting{fill:none;stroke:#7F7F7F}
.nbc .nbc-p-cancelled{fill:#7F7F7F}
.nbc .nbc-p-running{fill:#56B4E9}
.nbc .nbc-p-done{fill:#0072B2}
.nbc .nbc-p-failed{fill:#D55E00}
.nbc .nbc-part{stroke:#fff;stroke-width:1;stroke-opacity:.9}
.nbc .nbc-part.nbc-p-done{stroke:none}
.nbc .nbc-part.nbc-p-waiting{stroke:#7F7F7F}
.nbc .nbc-actions{float:right;margin:0 0 0 12px;max-width:60%;text-align:right;font-size:12px}
.nbc .nbc-actions[hidden]{display:none}
.nbc .nbc-actions button{font:inherit;padding:1px 10px;cursor:pointer;color:inherit;border-radius:3px;
background:var(--jp-layout-color2,rgba(128,128,128,.15));border:1px solid var(--jp-border-color1,rgba(128,128,128,.6))}
.nbc .nbc-actions button:hover{background:var(--jp-layout-color3,rgba(128,128,128,.3))}
.nbc .nbc-actions button:focus-visible{outline:2px solid var(--jp-brand-color1,#0072B2);outline-offset:1px}
.nbc .nbc-actions button[aria-disabled=true]{opacity:.6;cursor:default}
.nbc .nbc-actions span{display:block}
.nbc details{margin:2px 0}
.nbc details details{margin-left:12px}
.nbc details ul{margin:2px 0 4px;padding-left:14px;list-style:none}
.nbc summary{cursor:pointer}
.nbc .nbc-plots[hidden]{display:none}
.nbc .nbc-plot{margin:2px 0}
.nbc pre{margin:2px 0 6px;padding:4px 8px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:16em;overflow:auto;
font:12px var(--jp-code-font-family,monospace);background:var(--jp-layout-color2,rgba(128,128,128,.12));color:inherit}
.nbc .nbc-tabs{display:flex;flex-wrap:wrap;gap:2px;border-bottom:1px solid var(--jp-border-color1,rgba(128,128,128,.6))}
.nbc .nbc-tabs button{font:inherit;font-size:12px;padding:2px 10px;cursor:pointer;color:inherit;background:none;
border:1px solid transparent;border-bottom:0;border-radius:3px 3px 0 0}
.nbc .nbc-tabs button:hover{background:var(--jp-layout-color2,rgba(128,128,128,.15))}
.nbc .nbc-tabs button[aria-selected=true]{font-weight:600;background:var(--jp-layout-color2,rgba(128,128,128,.2));
border-color:var(--jp-border-color1,rgba(128,128,128,.6))}
.nbc .nbc-tabs button:focus-visible,.nbc .nbc-text:focus-visible{
outline:2px solid var(--jp-brand-color1,#0072B2);outline-offset:-2px}
.nbc.nbc-console pre{max-height:24em;white-space:pre-wrap}
.nbc.nbc-console{max-width:none}
.nbc .nbc-row{min-height:1.2em}
.nbc .nbc-label{opacity:.65;user-select:none}
.nbc .nbc-heading{font-weight:600;margin:4px 0 0}
.nbc .nbc-figures{display:flex;flex-wrap:wrap;gap:8px 14px;margin:4px 0;max-height:34em;overflow:auto}
.nbc .nbc-figures figure{margin:0}
.nbc .nbc-figures figcaption{font-size:12px}
.nbc .nbc-figures img{max-width:260px;max-height:220px;background:#fff;display:block}
.nbc .nbc-rich{max-width:420px;max-height:220px;overflow:auto;font-size:12px}
.nbc.nbc .nbc-rich table{width:auto}
.nbc .nbc-bold{font-weight:700}
.nbc .nbc-faint{opacity:.7}
.nbc .nbc-italic{font-style:italic}
.nbc .nbc-underline{text-decoration:underline}
.nbc .nbc-struck{text-decoration:line-through}
.nbc .nbc-inverse{filter:invert(1);background:var(--jp-layout-color1,transparent)}
.nbc .nbc-said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
"""
    + "\n".join(
        f".nbc .nbc-{name}{{color:{fill}}}.nbc .nbc-on-{name}{{background:{fill}66}}"
        for name, fill in ANSI.items()
    )
    + "\n"
    + "\n".join(
        f'[data-jp-theme-light="false"] .nbc .nbc-{name}{{color:{fill}}}' for name, fill in ANSI_DARK.items()
    )
    + "\n"
    + "\n".join(f".nbc .nbc-c{number}{{fill:{fill};background:{fill}}}" for number, fill in enumerate(LABELS))
    + "\n"
).lstrip()
