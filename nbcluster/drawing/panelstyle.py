"""The layout of the launcher and of tables of names, beside that of all views. Follows the notebook's theme.

Fallbacks stand beside JupyterLab's variables, and are drawn from the text's own colour, light or dark.
"""

from __future__ import annotations

from nbcluster.drawing.style import CSS

PANEL_CSS = (
    CSS
    + """
.nbc .nbc-panel{border:1px solid var(--jp-border-color2,rgba(128,128,128,.4));border-radius:4px;padding:8px 12px;
margin:2px 0;display:flex;flex-direction:column;gap:8px}
.nbc .nbc-panel>div:empty{display:none}
.nbc .nbc-panel p{margin:0}
.nbc .nbc-head b{font-size:14px;font-weight:600}
.nbc form{display:flex;flex-wrap:wrap;align-items:flex-end;gap:8px 12px;margin:0}
.nbc label{display:flex;flex-direction:column;gap:2px;font-size:12px;color:var(--jp-ui-font-color1,inherit)}
.nbc .nbc-controls label{flex-direction:row;align-items:center;gap:6px}
.nbc .nbc-controls .nbc-more label{flex-direction:column;align-items:stretch;gap:2px}
.nbc input,.nbc select{box-sizing:border-box;height:26px;padding:2px 6px;font:inherit;font-size:13px;border-radius:3px;
width:8.5rem;color:var(--jp-ui-font-color0,inherit);background:var(--jp-layout-color1,transparent);
border:1px solid var(--jp-border-color1,rgba(128,128,128,.6))}
.nbc select option{color:var(--jp-ui-font-color0,CanvasText);background:var(--jp-layout-color1,Canvas)}
.nbc input[type=number]{width:4rem}
.nbc input[name=tags]{width:6.5rem}
.nbc select[name=launcher]{width:6.5rem}
.nbc input::placeholder{color:var(--jp-ui-font-color3,inherit);opacity:.8}
.nbc button{box-sizing:border-box;min-height:26px;padding:2px 10px;font:inherit;font-size:12px;border-radius:3px;
cursor:pointer;color:var(--jp-ui-font-color1,inherit);background:var(--jp-layout-color2,rgba(128,128,128,.15));
border:1px solid var(--jp-border-color1,rgba(128,128,128,.5));white-space:nowrap}
.nbc button:hover{background:var(--jp-layout-color3,rgba(128,128,128,.3))}
.nbc button.nbc-main{color:#fff;background:#0072B2;border-color:#0072B2}
.nbc button.nbc-main:hover{background:#005a8d}
.nbc button[aria-disabled=true]{opacity:.5;cursor:default}
.nbc button:focus-visible,.nbc input:focus-visible,.nbc select:focus-visible,.nbc summary:focus-visible,
.nbc .nbc-panel:focus-visible,.nbc .nbc-scroll:focus-visible{outline:2px solid #56B4E9;outline-offset:1px}
.nbc .nbc-running{margin-top:8px}
.nbc .nbc-running button{margin-left:4px}
.nbc .nbc-controls{display:flex;flex-wrap:wrap;align-items:center;gap:6px 16px}
.nbc .nbc-space{flex:1}
.nbc .nbc-more summary{line-height:26px;font-size:12px}
.nbc .nbc-more[open]{flex-basis:100%;order:9}
.nbc .nbc-under{display:flex;align-items:baseline;gap:6px}
.nbc .nbc-spin{flex:none;width:9px;height:9px;border-radius:50%;border:2px solid currentColor;
border-right-color:transparent;animation:nbc-spin 1s linear infinite}
@keyframes nbc-spin{to{transform:rotate(1turn)}}
@media (prefers-reduced-motion:reduce){.nbc .nbc-spin{animation:none}}
.nbc .nbc-trouble,.nbc .nbc-question{padding:6px 10px;border-radius:3px;border:1px solid;border-left-width:4px;
background:var(--jp-layout-color1,transparent)}
.nbc .nbc-trouble{border-color:#D55E00}
.nbc .nbc-question{border-color:#E69F00}
.nbc .nbc-question p{margin-bottom:6px!important}
.nbc .nbc-question button{margin-right:6px}
.nbc .nbc-trouble p{overflow-wrap:anywhere}
.nbc .nbc-trouble button{margin-top:4px}
.nbc .nbc-scroll{overflow-x:auto}
.nbc.nbc .nbc-enginetable,.nbc.nbc .nbc-names{font-size:12px}
.nbc.nbc .nbc-enginetable thead th,.nbc.nbc .nbc-names thead th{font-weight:600;
color:var(--jp-ui-font-color2,inherit);border-bottom:1px solid var(--jp-border-color1,rgba(128,128,128,.5))}
.nbc.nbc .nbc-enginetable tbody th,.nbc.nbc .nbc-names tbody th{font-weight:600}
.nbc.nbc .nbc-enginetable tbody td,.nbc.nbc .nbc-enginetable tbody th,.nbc.nbc .nbc-names tbody td,
.nbc.nbc .nbc-names tbody th{border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.25))}
.nbc.nbc .nbc-enginetable .nbc-runs{width:100%;max-width:0;overflow:hidden;text-overflow:ellipsis}
.nbc.nbc .nbc-enginetable th:nth-child(3){min-width:7rem}
.nbc.nbc td.nbc-number{font-variant-numeric:tabular-nums;text-align:right}
.nbc.nbc td.nbc-does{text-align:right;padding-right:0}
.nbc td.nbc-does button{min-height:22px;padding:0 8px;margin-left:4px}
.nbc .nbc-busy>span{color:#E69F00}
.nbc .nbc-idle>span{color:#009E73}
.nbc .nbc-failed>span{color:#D55E00}
.nbc .nbc-tag{padding:0 5px;border-radius:8px;font-weight:400;font-size:11px;
background:var(--jp-layout-color3,rgba(128,128,128,.25))}
.nbc.nbc .nbc-noted td{white-space:normal;overflow-wrap:anywhere;color:var(--jp-ui-font-color1,inherit)}
.nbc .nbc-panel>details{margin:0}
.nbc.nbc .nbc-names .nbc-value,.nbc.nbc .nbc-names td:last-child{width:100%}
.nbc.nbc .nbc-names .nbc-value{max-width:0;overflow:hidden;text-overflow:ellipsis;
font-family:var(--jp-code-font-family,monospace)}
.nbc.nbc .nbc-names th:nth-child(5){min-width:8rem}
.nbc .nbc-missing{color:var(--jp-ui-font-color2,inherit);font-style:italic}
.nbc .nbc-other>span{color:#D55E00;font-weight:700}
.nbc .nbc-connect{display:flex;align-items:center;gap:8px;font-size:12px}
.nbc code{font-family:var(--jp-code-font-family,monospace);background:none;color:inherit;padding:0}
"""
)
