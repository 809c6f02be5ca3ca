// Shows live views again in a page that was loaded again: it asks the server, since the kernel is busy and does not
// answer. When the cell has ended, the picture that stays takes the place of the view in the notebook.
import live, { baseUrl } from "./live.js";

const ASK_EVERY = 500; // milliseconds
const PATIENCE = 15000; // milliseconds that a server may take
const MOST_PATIENCE = 10000; // milliseconds between two questions, when there are no answers
const WIDGET = "application/vnd.jupyter.widget-view+json";
const PARTS = ["head", "bars", "engines", "graph", "curves", "errors"];

export function follow(tracker) {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("./live.css", import.meta.url).href;
  document.head.appendChild(style);
  const begin = (panel) => {
    const context = panel.sessionContext;
    const look = () => {
      const kernel = context.session?.kernel?.id;
      if (kernel) void findViews(panel, kernel);
    };
    context.kernelChanged.connect(look);
    look();
  };
  tracker.forEach(begin);
  tracker.widgetAdded.connect((_, panel) => begin(panel));
}

async function ask(path) {
  const url = new URL(`${baseUrl().replace(/\/?$/, "/")}nbcluster/${path}`, location.href);
  const answer = await fetch(url, { credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE) });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.message), { status: answer.status });
  return told;
}

const followed = new WeakMap(); // the names of the views that are followed, by notebook

async function findViews(panel, kernel) {
  let views = [];
  try {
    ({ views } = await ask(`kernels/${encodeURIComponent(kernel)}/views`));
    await panel.context.ready;
  } catch {
    return; // as without a server extension
  }
  const known = followed.get(panel) ?? new Set();
  followed.set(panel, known);
  for (const view of views) {
    if (known.has(view.view)) continue;
    known.add(view.view);
    void new Follower(panel, view).run();
  }
}

// As much of a widget's model as its drawing uses.
class Shown {
  #values = { stop: {}, view: {}, said: "", ...Object.fromEntries(PARTS.map((name) => [name, ""])) };
  #listeners = new Map();
  get(name) { return this.#values[name]; }
  set(name, value) {
    if (JSON.stringify(this.#values[name]) === JSON.stringify(value)) return;
    this.#values[name] = value;
    this.#listeners.get(`change:${name}`)?.();
  }
  on(event, listener) { this.#listeners.set(event, listener); }
  off(event) { this.#listeners.delete(event); }
}

// One view that a page shows again.
class Follower {
  #host = document.createElement("div");
  #live = document.createElement("div");
  #still = document.createElement("div");
  #told = document.createElement("p");
  #shown = new Shown();
  #serial = 0;
  #drop;

  constructor(panel, view) {
    Object.assign(this, { panel, view });
    this.#host.className = "jp-OutputArea-output nbc-again";
    this.#told.className = "nbc nbc-dim";
    this.#told.setAttribute("role", "status");
    this.#host.append(this.#live, this.#still, this.#told);
    this.#drop = live.render({ model: this.#shown, el: this.#live });
  }

  async run() {
    try {
      await this.#follow();
    } finally {
      this.#drop();
    }
  }

  async #follow() {
    if (this.view.state !== "done") this.#prepare();
    let wait = ASK_EVERY;
    while (this.#place()) {
      if (!document.hidden) {
        try {
          const { cluster, view } = this.view;
          const seen = await ask(`clusters/${encodeURIComponent(cluster)}/views/${view}?have=${this.#serial}`);
          wait = ASK_EVERY;
          if (!this.#draw(seen)) return;
        } catch (error) {
          if (error.status === 404) return this.#end(error.message);
          wait = Math.min(2 * wait, MOST_PATIENCE);
        }
      }
      await new Promise((go) => setTimeout(go, wait));
    }
  }

  // Whether there is more to come.
  #draw(seen) {
    switch (seen.state) {
      case "done":
        this.#replace(seen.stays);
        return false;
      case "gone":
        this.#end("the kernel of this notebook has ended; nothing more is known of this work");
        return false;
      case "still":
        this.#live.hidden = true;
        this.#still.innerHTML = seen.stays["text/html"] ?? "";
        return true;
      default:
        this.#still.replaceChildren();
        this.#live.hidden = false;
        for (const [name, [, html]] of Object.entries(seen.parts)) this.#shown.set(name, html);
        this.#shown.set("said", seen.said);
        this.#shown.set("stop", seen.stop);
        this.#shown.set("view", { cluster: this.view.cluster, view: this.view.view });
        this.#serial = seen.serial;
        return true;
    }
  }

  #end(text) {
    this.#shown.set("stop", {});
    this.#shown.set("view", {});
    this.#told.textContent = text;
    this.#place();
  }

  // The cell, and which of its outputs is this view; undefined when there is none.
  #find() {
    if (this.panel.isDisposed) return undefined;
    const cell = this.panel.content.widgets.find(({ model }) => model.id === this.view.cell);
    const outputs = cell?.model.outputs;
    for (let at = 0; at < (outputs?.length ?? 0); at += 1) {
      if (outputs.get(at).toJSON().data?.[WIDGET]?.model_id === this.view.model) return { cell, outputs, at };
    }
    return undefined;
  }

  // The notebook was not saved since the cell began: it has no output for the view.
  #prepare() {
    const cell = this.panel.content.widgets.find(({ model }) => model.id === this.view.cell);
    if (!cell?.model.outputs || this.#find()) return;
    const before = cell.model.executionCount;
    if (before !== null && before !== this.view.count) cell.model.outputs.clear(); // of an earlier run
    cell.model.executionCount = null;
    const view = { version_major: 2, version_minor: 0, model_id: this.view.model };
    const data = { "text/plain": "the work of this cell", [WIDGET]: view };
    cell.model.outputs.add({ output_type: "display_data", data, metadata: {} });
  }

  // Stand in for the widget, unless that is there; whether there is a place.
  #place() {
    const found = this.#find();
    if (!found) return false;
    const node = found.cell.outputArea?.widgets[found.at]?.node; // cells that were not scrolled to have none
    const widget = node && [...node.children].find((child) => child.matches(".jp-OutputArea-output:not(.nbc-again)"));
    if (!widget) return true;
    if (!node.contains(this.#host)) node.append(this.#host);
    const isThere = widget.querySelector(".nbc-live > div:not(.nbc-actions):not(:empty)") !== null;
    widget.style.display = isThere ? "" : "none";
    this.#host.style.display = isThere ? "none" : "";
    return true;
  }

  #replace(data) {
    const found = this.#find();
    if (!found) return;
    found.outputs.set(found.at, { output_type: "display_data", data, metadata: {} });
    if (found.cell.model.executionCount === null) found.cell.model.executionCount = this.view.count;
  }
}
