// Shows the parts of a live view, which Python has drawn and escaped; keeps what is unfolded. Asks for nothing.
const PARTS = ["head", "bars", "engines", "graph", "curves", "errors"];

function show(part, html) {
  const before = part.querySelector("details");
  const scroll = part.querySelector(".nbc-scroll");
  const [wasOpen, left, top] = [before?.open, scroll?.scrollLeft ?? 0, scroll?.scrollTop ?? 0];
  const focused = ["summary", ".nbc-scroll"].find((at) => part.querySelector(at)?.matches(":focus"));
  part.innerHTML = html;
  const details = part.querySelector("details");
  if (wasOpen && details) details.open = true;
  part.querySelector(".nbc-scroll")?.scrollTo(left, top);
  if (focused) part.querySelector(focused)?.focus({ preventScroll: true });
}

function render({ model, el }) {
  el.classList.add("nbc");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "progress of the cell");
  const drops = PARTS.map((name) => {
    const part = document.createElement("div");
    const draw = () => show(part, model.get(name));
    draw();
    model.on(`change:${name}`, draw);
    el.appendChild(part);
    return () => model.off(`change:${name}`, draw);
  });
  const said = document.createElement("div");
  said.className = "nbc-said";
  said.setAttribute("aria-live", "polite");
  const say = () => { said.textContent = model.get("said"); };
  say();
  model.on("change:said", say);
  el.appendChild(said);
  return () => { drops.forEach((drop) => drop()); model.off("change:said", say); };
}

export default { render };
