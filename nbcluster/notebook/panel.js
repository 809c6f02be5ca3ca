// Keeps a panel in the page as Python draws it, part by part, and tells Python what people do there. Draws nothing itself.
// Elements are changed in place, so that focus, what is typed and what is unfolded stay.

function initialize({ model }) {
  const fold = (message) => {
    if (!message.parts) return;
    const parts = { ...model.get("parts"), ...message.parts };
    for (const name of message.gone ?? []) delete parts[name];
    model.set("parts", parts);
  };
  model.on("msg:custom", fold);
  return () => model.off("msg:custom", fold);
}

function drawn(parts) {
  const template = document.createElement("template");
  template.innerHTML = parts.root ?? "";
  for (let slots; (slots = template.content.querySelectorAll("[data-part]:not([data-filled])")).length; ) {
    for (const slot of slots) {
      slot.dataset.filled = "";
      slot.innerHTML = parts[slot.dataset.part] ?? "";
    }
  }
  return template.content;
}

function become(old, wanted) {
  const keys = new Map([...wanted.children].filter((one) => one.dataset.key).map((one) => [one.dataset.key, one]));
  const kept = new Map();
  for (const one of [...old.children]) {
    if (!one.dataset.key) continue;
    if (keys.get(one.dataset.key)?.nodeName === one.nodeName) kept.set(one.dataset.key, one);
    else one.remove();
  }
  let here = old.firstChild;
  for (const next of [...wanted.childNodes]) {
    const key = next.dataset?.key;
    while (here && !here.dataset?.key && (key || here.nodeName !== next.nodeName)) {
      const after = here.nextSibling;
      here.remove();
      here = after;
    }
    const same = key ? kept.get(key) : here?.dataset?.key ? undefined : here;
    if (!same) old.insertBefore(next, here);
    else {
      if (same === here) here = here.nextSibling;
      else old.insertBefore(same, here);
      change(same, next);
    }
  }
  while (here) {
    const after = here.nextSibling;
    here.remove();
    here = after;
  }
}

function change(old, wanted) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data;
    return;
  }
  if (old.hasAttribute("data-own")) return;
  const isTheirs = (name) => name === "open" && old.nodeName === "DETAILS";
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name) && !isTheirs(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value && !isTheirs(name)) old.setAttribute(name, value);
  }
  become(old, wanted);
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // Pages that are not served over https have no clipboard; this older way asks for no leave.
    const area = document.createElement("textarea");
    area.value = button.dataset.copy;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const text = button.textContent;
  button.dataset.own = "";
  button.textContent = "Copied";
  setTimeout(() => {
    button.textContent = text;
    delete button.dataset.own;
  }, 1500);
}

function render({ model, el }) {
  const view = crypto.randomUUID?.() ?? String(Math.random());
  el.classList.add("nbc");
  el.dataset.lmSuppressShortcuts = "true";
  let asked = null;

  const draw = () => {
    const before = el.contains(document.activeElement) ? document.activeElement : null;
    const questions = new Set([...el.querySelectorAll("[data-focus]")].map((one) => one.closest("[data-key]").dataset.key));
    become(el, drawn(model.get("parts")));
    const question = [...el.querySelectorAll("[data-focus]")].find((one) => !questions.has(one.closest("[data-key]").dataset.key));
    if (question && (before || document.activeElement === document.body)) question.focus();
    else if (before && !before.isConnected) {
      (asked?.isConnected ? asked : el.querySelector("input, button"))?.focus({ preventScroll: true });
    }
  };
  const tell = (from, fields = {}) => {
    if (from.getAttribute("aria-disabled") === "true") return;
    if (!from.closest("[role=alertdialog]")) asked = document.activeElement;
    const { do: order, engine, name } = from.dataset;
    model.send({ do: order, engine, name, ...fields });
  };
  const clicked = (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.copy) copy(button);
    else if (button.dataset.do) tell(button);
    else if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
  };
  const submitted = (event) => {
    event.preventDefault();
    tell(event.target, Object.fromEntries(new FormData(event.target)));
  };
  const pressed = (event) => {
    // What is typed here is for the panel: the notebook would take Enter, Space and letters for its own commands.
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    if (event.key === "Escape") el.querySelector("[data-escape]")?.click();
  };

  let isSeen = null;
  let isHere = false;
  const look = () => {
    const now = isHere && !document.hidden;
    if (now !== isSeen) model.send({ do: "see", view, on: (isSeen = now) });
  };
  const observer = new IntersectionObserver((entries) => {
    isHere = entries.at(-1).isIntersecting;
    look();
  });
  const left = () => {
    if (isSeen) model.send({ do: "see", view, on: (isSeen = false) });
  };

  draw();
  observer.observe(el);
  model.on("change:parts", draw);
  el.addEventListener("click", clicked);
  el.addEventListener("submit", submitted);
  el.addEventListener("keydown", pressed);
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", left);
  return () => {
    left();
    observer.disconnect();
    model.off("change:parts", draw);
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener("pagehide", left);
  };
}

export default { initialize, render };
