// Shows the parts of a live view, which Python has drawn and escaped; keeps what is unfolded. Its one button stops the
// work: by HTTP, since the kernel is busy and does not listen.
const PARTS = ["head", "bars", "engines", "graph", "curves", "errors"];
const PATIENCE = 15000; // milliseconds that a server may take

function show(part, html) {
  const scroll = part.querySelector(".nbc-scroll");
  const [left, top] = [scroll?.scrollLeft ?? 0, scroll?.scrollTop ?? 0];
  const open = new Set([...part.querySelectorAll("details[open]")].map((details) => details.dataset.key ?? ""));
  const focused = part.querySelector(":focus");
  const [key, wasScroll] = [focused?.closest("details")?.dataset.key ?? "", focused?.matches(".nbc-scroll")];
  part.innerHTML = html;
  for (const details of part.querySelectorAll("details")) details.open = open.has(details.dataset.key ?? "");
  const again = part.querySelector(".nbc-scroll");
  again?.scrollTo(left, top);
  if (!focused) return;
  const all = [...part.querySelectorAll("details")].filter((details) => (details.dataset.key ?? "") === key);
  (wasScroll ? again : all[0]?.querySelector("summary"))?.focus({ preventScroll: true });
}

// Where the page's Jupyter server is; undefined where the page comes from none.
export function baseUrl() {
  const config = document.getElementById("jupyter-config-data");
  try {
    return config ? JSON.parse(config.textContent).baseUrl : document.body.dataset.baseUrl;
  } catch {
    return undefined;
  }
}

async function post(path, body) {
  const base = baseUrl();
  if (!base) throw new Error("this page comes from no Jupyter server");
  const found = document.cookie.match(/(?:^|; )_xsrf=([^;]+)/);
  const headers = { "Content-Type": "application/json" };
  if (found) headers["X-XSRFToken"] = decodeURIComponent(found[1]);
  const answer = await fetch(new URL(`${base.replace(/\/?$/, "/")}${path}`, location.href), {
    method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (answer.ok) return;
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.message || `the server answered ${answer.status}`);
}

// The ways to stop, best first; each fails where it is not there.
async function stop(model) {
  const { cluster, work, kernel } = model.get("stop");
  const reasons = [];
  const ways = [
    () => post(`nbcluster/clusters/${encodeURIComponent(cluster)}/stop`, { work }),
    () => {
      if (!kernel) throw new Error("the kernel's number is not known");
      return post(`api/kernels/${encodeURIComponent(kernel)}/interrupt`, {});
    },
  ];
  for (const way of ways) {
    try {
      await way();
      return "";
    } catch (error) {
      reasons.push(error.message);
    }
  }
  if (!model.send) return `could not be stopped: ${reasons.join("; ")}; interrupting the kernel stops the work too`;
  model.send({ stop: work }); // heard when the kernel listens
  return `asked the kernel, which may be busy (${reasons.join("; ")}); interrupting the kernel stops the work too`;
}

function makeButton(model) {
  const row = document.createElement("div");
  row.className = "nbc-actions";
  const button = document.createElement("button");
  button.type = "button";
  const told = document.createElement("span");
  told.setAttribute("role", "status");
  row.append(button, told);
  let asked = "";
  const draw = () => {
    const { work } = model.get("stop");
    row.hidden = !work;
    if (work !== asked) told.textContent = "";
    const isAsked = work && work === asked;
    // Not `disabled`: what has the focus would lose it.
    button.setAttribute("aria-disabled", String(Boolean(isAsked)));
    button.textContent = isAsked ? "Stopping…" : "■ Stop";
    button.title = "Cancel what this cell waits for; engines keep their state";
  };
  button.addEventListener("click", async () => {
    const { work } = model.get("stop");
    if (!work || work === asked) return;
    asked = work;
    draw();
    const problem = await stop(model);
    if (!problem) return;
    asked = "";
    draw();
    told.textContent = problem;
  });
  draw();
  model.on("change:stop", draw);
  return [row, () => model.off("change:stop", draw)];
}

// What is unfolded for Bokeh plots of the same: loaded from the server, with BokehJS, when somebody unfolds it.
function makePlots(model) {
  const details = document.createElement("details");
  details.className = "nbc-plots";
  details.innerHTML = "<summary>plots: task stream, graph, engines</summary><div></div>";
  const place = details.querySelector("div");
  let drop = () => {};
  let asked = "";
  const follow = async () => {
    const view = model.get("view") ?? {};
    details.hidden = !view.view || !baseUrl();
    const wanted = details.open && !details.hidden ? JSON.stringify(view) : "";
    if (wanted === asked) return;
    drop();
    drop = () => {};
    asked = wanted;
    if (!wanted) return;
    try {
      const url = new URL(`${baseUrl().replace(/\/?$/, "/")}nbcluster/files/plots.js`, location.href);
      const plots = await import(url.href);
      if (asked === wanted) drop = plots.show(place, view);
    } catch (error) {
      place.textContent = `no plots: they need the server extension (jupyter server extension enable nbcluster.server); ${error.message}`;
    }
  };
  details.addEventListener("toggle", follow);
  model.on("change:view", follow);
  void follow();
  return [details, () => { model.off("change:view", follow); drop(); }];
}

function render({ model, el }) {
  el.classList.add("nbc", "nbc-live");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "progress of the cell");
  const [row, dropButton] = makeButton(model);
  el.appendChild(row);
  const drops = PARTS.map((name) => {
    const part = document.createElement("div");
    const draw = () => show(part, model.get(name));
    draw();
    model.on(`change:${name}`, draw);
    el.appendChild(part);
    return () => model.off(`change:${name}`, draw);
  });
  const [plots, dropPlots] = makePlots(model);
  el.appendChild(plots);
  const said = document.createElement("div");
  said.className = "nbc-said";
  said.setAttribute("aria-live", "polite");
  const say = () => { said.textContent = model.get("said"); };
  say();
  model.on("change:said", say);
  el.appendChild(said);
  return () => { drops.forEach((drop) => drop()); dropButton(); dropPlots(); model.off("change:said", say); };
}

export default { render };
