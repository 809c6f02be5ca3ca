"""The colours and the layout of views, in one piece of CSS. Follows the notebook's theme, light or dark.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with defective colour vision tell
apart; whatever a colour says, a number, a sign or a pattern says too.
"""

from __future__ import annotations

LABELS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#7F7F7F")
"""Fills of the task stream, by label; the last is for all further ones."""

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
.nbc ul.nbc-engines{display:flex;flex-wrap:wrap;gap:3px 12px;margin:2px 0 4px;padding:0;list-style:none}
.nbc .nbc-engine{display:inline-flex;align-items:center;gap:5px;margin:0;font-size:12px;white-space:nowrap}
.nbc .nbc-load{display:inline-block;width:42px;height:8px;border-radius:2px;overflow:hidden;
background:var(--jp-layout-color3,rgba(128,128,128,.25));
box-shadow:inset 0 0 0 1px var(--jp-border-color1,rgba(128,128,128,.5))}
.nbc .nbc-load>i{display:block;height:100%;background:#009E73}
.nbc svg{display:block;max-width:100%;height:auto;overflow:visible}
.nbc svg text{fill:currentColor;font:11px var(--jp-ui-font-family,system-ui,sans-serif)}
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
.nbc details{margin:2px 0}
.nbc summary{cursor:pointer}
.nbc pre{margin:2px 0 6px;padding:4px 8px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:16em;overflow:auto;
font:12px var(--jp-code-font-family,monospace);background:var(--jp-layout-color2,rgba(128,128,128,.12));color:inherit}
.nbc .nbc-said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
"""
    + "\n".join(f".nbc .nbc-c{number}{{fill:{fill};background:{fill}}}" for number, fill in enumerate(LABELS))
    + "\n"
).lstrip()
