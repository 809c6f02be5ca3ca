// Bokeh plots of a view that somebody has unfolded: they are asked for at the server, since the kernel may be busy, and
// only while they are seen. BokehJS is the server's own, and never part of a notebook.
const ASK_EVERY = 500; // milliseconds, at least
const BYTES = 150; // of plots for each millisecond
const PATIENCE = 15000; // milliseconds that a server may take
const ORDER = ["stream", "graph", "engines"];

let loading;

// BokehJS of the server's version, beside any other that the page may have.
function loadBokeh(version) {
  const found = () => (window.Bokeh?.version === version ? window.Bokeh : window.Bokeh?.[version]);
  if (found()) return Promise.resolve(found());
  loading ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = new URL(`./bokeh.min.js?v=${version}`, import.meta.url).href;
    script.onload = () => (found() ? done(found()) : fail(new Error("BokehJS of another version was served")));
    script.onerror = () => fail(new Error("BokehJS could not be loaded"));
    document.head.appendChild(script);
  }).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

const isDark = () => document.body.dataset.jpThemeLight === "false";

// Shows the plots of a view in an element until the function that it returns is called.
export function show(el, { cluster, view }) {
  const told = document.createElement("p");
  told.className = "nbc-dim";
  told.setAttribute("role", "status");
  told.textContent = "loading plots…";
  const places = Object.fromEntries(ORDER.map((name) => {
    const place = document.createElement("div");
    place.className = "nbc-plot";
    place.dataset.plot = name;
    place.setAttribute("role", "img");
    return [name, place];
  }));
  el.replaceChildren(told, ...Object.values(places));
  const plots = new Map(); // what is embedded: shape, document, how to drop it
  let [isOver, isSeen, dark] = [false, false, isDark()];
  const observer = new IntersectionObserver((entries) => { isSeen = entries.at(-1).isIntersecting; });
  observer.observe(el);

  const dropAll = () => {
    for (const { manager } of plots.values()) manager.clear();
    plots.clear();
    for (const place of Object.values(places)) place.replaceChildren();
  };

  async function draw({ version, plots: drawn }) {
    const Bokeh = await loadBokeh(version);
    for (const [name, { item, shape, label, columns }] of Object.entries(drawn)) {
      if (isOver) return;
      places[name].setAttribute("aria-label", label);
      if (item) {
        plots.get(name)?.manager.clear();
        places[name].replaceChildren();
        places[name].dataset.theme = dark ? "dark" : "light";
        const manager = await Bokeh.embed.embed_item(item, places[name]);
        plots.set(name, { shape, manager, document: manager.roots[0].model.document });
      } else {
        const { document: bokeh } = plots.get(name) ?? {};
        for (const [source, values] of Object.entries(columns)) {
          const model = bokeh?.get_model_by_name(source);
          if (model) model.data = values;
        }
      }
    }
  }

  async function run() {
    while (!isOver) {
      let wait = ASK_EVERY;
      if (isSeen && !document.hidden) {
        if (dark !== isDark()) {
          dark = isDark();
          dropAll();
        }
        const query = new URLSearchParams([["dark", dark ? "1" : ""]]);
        for (const [name, { shape }] of plots) query.append("have", `${name}:${shape}`);
        const path = `clusters/${encodeURIComponent(cluster)}/views/${view}/plots?${query}`;
        try {
          const answer = await fetch(new URL(`../${path}`, import.meta.url), {
            credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE),
          });
          const text = await answer.text();
          wait = Math.max(wait, text.length / BYTES);
          const { message, ...drawn } = JSON.parse(text);
          if (!answer.ok) throw new Error(message);
          await draw(drawn);
          told.textContent = plots.size ? "" : "nothing to plot yet";
        } catch (error) {
          told.textContent = `no plots now: ${error.message}`;
          wait = 4 * ASK_EVERY;
        }
      }
      await new Promise((go) => setTimeout(go, wait));
    }
  }
  void run();
  return () => {
    isOver = true;
    observer.disconnect();
    dropAll();
    el.replaceChildren();
  };
}
