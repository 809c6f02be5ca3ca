// A console with a tab for each engine, one for all, and one that folds what is the same. Rows come as HTML that Python
// has made and escaped. Asks for nothing: the kernel is busy.
const MOST_ROWS = 2000; // of the tab of all engines
const FOLD_EVERY = 500; // milliseconds

function apply(told, screens, order) {
  if (told.isWhole) { screens.clear(); order.length = 0; }
  for (const [engine, news] of Object.entries(told.engines)) {
    if (!screens.has(engine)) screens.set(engine, { rows: new Map(), images: [], imagesLeftOut: 0 });
    const screen = screens.get(engine);
    for (const [number, html] of Object.entries(news.rows)) screen.rows.set(Number(number), html);
    for (const number of screen.rows.keys()) if (number < news.first) screen.rows.delete(number);
    screen.leftOut = news.leftOut;
    screen.isOver = news.isOver;
    if (news.images) [screen.images, screen.imagesLeftOut] = [news.images, news.imagesLeftOut];
  }
  for (const [engine, number] of told.begun) order.push([String(engine), number]);
  if (order.length > MOST_ROWS) order.splice(0, order.length - MOST_ROWS);
}

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function named(engines) {
  return engines.length > 1 ? `engines ${engines.join(", ")}` : `engine ${engines[0]}`;
}

// Of each group of engines that show the same, its images.
function figures(screens, groups) {
  const box = element("div", "nbc-figures");
  let leftOut = 0;
  for (const engines of groups) {
    const { images, imagesLeftOut } = screens.get(engines[0]);
    leftOut += imagesLeftOut;
    images.forEach((source, at) => {
      const figure = element("figure");
      const isImage = source.startsWith("data:image/");
      const shown = element(isImage ? "img" : "div", isImage ? "" : "nbc-rich");
      if (isImage) [shown.src, shown.alt] = [source, `${named(engines)}: image ${at + 1}`];
      else shown.innerHTML = source; // Python has looked that nothing in it acts
      figure.append(element("figcaption", "", named(engines)), shown);
      box.append(figure);
    });
  }
  if (leftOut) box.append(element("p", "nbc-dim nbc-note", `${leftOut} earlier images are not shown`));
  return box;
}

function row(html, engine) {
  const made = element("div", "nbc-row");
  if (engine !== undefined) made.append(element("span", "nbc-label", `[${engine}] `));
  const text = element("span");
  text.innerHTML = html; // escaped by Python
  made.append(text);
  return made;
}

// What a tab shows, as rows under keys: those that stay the same are not drawn again.
function content(tab, screens, order) {
  const rows = [];
  if (tab === "all") {
    for (const [engine, number] of order) {
      const html = screens.get(engine)?.rows.get(number);
      if (html !== undefined) rows.push([`${engine}/${number}`, html, engine]);
    }
  } else {
    for (const [number, html] of screens.get(tab)?.rows ?? []) rows.push([String(number), html, undefined]);
    rows.sort((one, other) => Number(one[0]) - Number(other[0]));
  }
  return rows;
}

function folded(screens) {
  const groups = new Map();
  for (const [engine, screen] of screens) {
    const key = JSON.stringify([[...screen.rows.values()], screen.images]);
    groups.set(key, [...(groups.get(key) ?? []), engine]);
  }
  return [...groups.values()];
}

function leftOut(tab, screens, order) {
  let count = 0;
  if (tab === "all") {
    for (const screen of screens.values()) count += screen.leftOut + screen.rows.size;
    count -= content("all", screens, order).length;
  } else if (tab !== "same") count = screens.get(tab).leftOut;
  return count ? `… ${count.toLocaleString("en")} earlier lines` : "";
}

function view(el, screens, order) {
  let active = "all";
  const tabs = element("div", "nbc-tabs");
  tabs.setAttribute("role", "tablist");
  tabs.setAttribute("aria-label", "engines");
  const note = element("p", "nbc-dim nbc-note");
  const images = element("div");
  const text = element("pre", "nbc-text");
  text.tabIndex = 0;
  text.setAttribute("role", "tabpanel");
  el.append(tabs, note, images, text);
  const drawn = new Map();
  let imagesDrawn = "";
  let foldedAt = 0;

  const choose = (tab) => {
    active = tab;
    drawn.clear();
    text.replaceChildren();
    imagesDrawn = foldedAt = "";
    draw();
    tabs.querySelector('[aria-selected="true"]')?.focus();
  };
  tabs.addEventListener("keydown", (event) => {
    const names = [...tabs.children].map((tab) => tab.dataset.tab);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = step ? names.indexOf(active) + step : { Home: 0, End: names.length - 1 }[event.key];
    if (at === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    choose(names[(at + names.length) % names.length]);
  });

  const drawTabs = () => {
    const names = ["all", "same", ...screens.keys()];
    if (!names.includes(active)) active = "all";
    names.forEach((name, at) => {
      let tab = tabs.children[at];
      if (!tab) {
        tab = element("button");
        tab.type = "button";
        tab.setAttribute("role", "tab");
        tab.addEventListener("click", () => choose(tab.dataset.tab));
        tabs.append(tab);
      }
      const screen = screens.get(name);
      const label = { all: "all", same: "same, folded" }[name] ?? `engine ${name} ${screen.isOver ? "✓" : "●"}`;
      if (tab.textContent !== label) tab.textContent = label;
      tab.dataset.tab = name;
      tab.setAttribute("aria-selected", String(name === active));
      tab.tabIndex = name === active ? 0 : -1;
    });
    while (tabs.children.length > names.length) tabs.lastChild.remove();
  };

  const drawRows = () => {
    const rows = content(active, screens, order);
    const wanted = new Set(rows.map(([key]) => key));
    for (const [key, known] of drawn) if (!wanted.has(key)) { known.made.remove(); drawn.delete(key); }
    for (const [key, html, engine] of rows) {
      const known = drawn.get(key);
      if (known?.html === html) continue;
      const made = row(html, engine);
      if (known) known.made.replaceWith(made); else text.append(made);
      drawn.set(key, { html, made });
    }
  };

  const drawFolded = () => {
    if (Date.now() - foldedAt < FOLD_EVERY) { setTimeout(draw, FOLD_EVERY); return; }
    foldedAt = Date.now();
    text.replaceChildren(...folded(screens).flatMap((engines) => {
      const same = engines.length > 1 ? `${named(engines)}: ${engines.length} the same` : named(engines);
      return [element("div", "nbc-heading", same), ...content(engines[0], screens, order).map(([, html]) => row(html))];
    }));
  };

  const draw = () => {
    el.hidden = !screens.size;
    if (!screens.size) return;
    drawTabs();
    const isAtEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
    if (active === "same") drawFolded(); else drawRows();
    note.textContent = leftOut(active, screens, order);
    const shown = active === "all" ? [...screens.keys()].map((engine) => [engine])
      : active === "same" ? folded(screens) : [[active]];
    const key = JSON.stringify(shown.map((engines) => [engines, screens.get(engines[0]).images]));
    if (key !== imagesDrawn) { imagesDrawn = key; images.replaceChildren(figures(screens, shown)); }
    if (isAtEnd) text.scrollTop = text.scrollHeight;
  };
  return draw;
}

export default () => {
  const screens = new Map();
  const order = [];
  const draws = new Set();
  let last = 0;
  return {
    initialize({ model }) {
      const take = () => {
        const told = model.get("told");
        if (!told.engines || (!told.isWhole && told.number !== last + 1)) return;
        last = told.number;
        apply(told, screens, order);
        draws.forEach((draw) => draw());
      };
      take();
      model.on("change:told", take);
      return () => model.off("change:told", take);
    },
    render({ el }) {
      el.classList.add("nbc", "nbc-console");
      el.setAttribute("role", "group");
      el.setAttribute("aria-label", "output of the engines");
      const draw = view(el, screens, order);
      draws.add(draw);
      draw();
      return () => draws.delete(draw);
    },
  };
};
