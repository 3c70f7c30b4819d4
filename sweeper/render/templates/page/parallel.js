// Parallel coordinates: a line a setting through its knobs and what they led to. Knobs are chosen from lists, figures
// by a stroke along their axis.

const STRIDE = 122;
const TALL = 252;
const TOP = 50;
const LOW = 236;

function parallel(page, dim) {
  const cells = page.cells.filter((cell) => !cell.is_control);
  const axes = page.axes.map((axis, place) => placed(axis, place, cells));
  const wanted = axes.map(() => null);
  const count = make("output", { class: "count" });
  const picture = emptyPicture(axes.length);
  const lines = new Map(cells.map((cell) => [cell.key, settingLine(cell, axes)]));
  const bands = axes.map((axis, place) => (axis.levels ? null : brush(axis, picture, (range) => want(place, range))));
  picture.append(...lines.values(), ...axes.flatMap(drawnAxis), ...bands.filter(Boolean));
  const lists = axes.map((axis, place) => (axis.levels ? levelList(axis, (level) => want(place, level)) : null));
  const all = make("button", { type: "button", on: { click: clear } }, "show all");

  function want(place, range) {
    wanted[place] = range;
    const fits = (cell) =>
      wanted.every((one, at) => !one || (cell.at[at] !== null && cell.at[at] >= one[0] && cell.at[at] <= one[1]));
    const keys = new Set(cells.filter(fits).map((cell) => cell.key));
    lines.forEach((line, key) => line.classList.toggle("out", !keys.has(key)));
    dim((key) => keys.has(key));
    count.textContent = keys.size < cells.length ? `${keys.size} of ${cells.length} settings` : "";
  }
  function clear() {
    lists.forEach((list) => list && (list.querySelector("select").value = ""));
    bands.forEach((band) => band && band.clear());
    axes.forEach((_, place) => want(place, null));
  }
  listeners.push((key) => lines.forEach((line, own) => line.classList.toggle("chosen", own === key)));
  return parallelPanel(make("p", {}, ...lists.filter(Boolean), all, " ", count), picture, page.left_out);
}

function emptyPicture(axes) {
  const wide = STRIDE * (axes - 1) + 130;
  const size = { viewBox: `0 0 ${wide} ${TALL}`, style: `min-width:${wide * 0.8}px` };
  return draw("svg", { ...size, class: "parallel", role: "group", "aria-label": "Parallel coordinates" });
}

function parallelPanel(controls, picture, leftOut) {
  const name = "All settings at once";
  const words =
    "A line is a setting; blue is better than lambda 0, red worse, grey within noise. Click a line for its curve; " +
    "drag along a figure's axis to keep part of it.";
  const more = leftOut ? ` ${leftOut} more are in guide.json.` : "";
  const region = { class: "scroll", role: "region", tabindex: "0", "aria-label": `Parallel coordinates: ${name}` };
  return make(
    "section",
    { class: "live panel", "aria-label": name },
    make("h3", {}, name),
    controls,
    make("div", region, picture),
    make("p", { class: "caption" }, words + more),
  );
}

function placed(axis, place, cells) {
  const seen = cells.map((cell) => cell.at[place]).filter((value) => value !== null);
  const values = axis.levels?.map((_, level) => level) ?? axis.span ?? seen;
  // Names are wider than the stride: they stand in two rows, by turns.
  return { ...axis, x: 70 + STRIDE * place, row: place % 2 ? 34 : 14, ...scale(values, LOW, TOP, axis.log) };
}

function settingLine(cell, axes) {
  const points = axes.map((axis, place) =>
    cell.at[place] === null ? null : `${axis.x},${axis.place(cell.at[place]).toFixed(1)}`,
  );
  const path = points.filter(Boolean).join(" ");
  const show = (event) =>
    showNote({ getBoundingClientRect: () => new DOMRect(event.clientX, event.clientY, 8, 8) }, cell);
  const on = { click: () => choose(cell.key), mouseenter: show, mouseleave: hideNote };
  return draw(
    "g",
    { class: `setting ${cell.tone}`, on },
    draw("polyline", { points: path, class: "target" }),
    draw("polyline", { points: path, class: "seen" }),
  );
}

function drawnAxis(axis) {
  const labels = axis.levels
    ? axis.levels.map((level, place) => [level, place])
    : axis.ticks.map((tick) => [written(tick), tick]);
  const every = Math.ceil(labels.length / 12);
  return [
    draw("line", { x1: axis.x, x2: axis.x, y1: TOP, y2: LOW, class: "axis" }),
    draw("text", { x: axis.x, y: axis.row, "text-anchor": "middle", class: "title" }, axis.name),
    ...labels
      .filter((_, place) => place % every === 0)
      .map(([words, value]) => draw("text", { x: axis.x + 5, y: axis.place(value) + 4, class: "level" }, words)),
  ];
}

function levelList(axis, want) {
  const list = make("select", {
    on: { change: () => want(list.value === "" ? null : [Number(list.value), Number(list.value)]) },
  });
  list.append(
    make("option", { value: "" }, "any"),
    ...axis.levels.map((level, place) => make("option", { value: place }, level)),
  );
  return make("label", {}, `${axis.name} `, list, " ");
}

/** A stroke along an axis; one too short to be meant removes it again. */
function brush(axis, picture, want) {
  const band = draw("rect", { x: axis.x - 9, width: 18, y: TOP, height: 0, class: "band" });
  const target = draw("rect", { x: axis.x - 12, width: 24, y: TOP - 6, height: LOW - TOP + 12, class: "target" });
  const group = draw("g", { class: "brush" }, target, band);
  const height = (event) => {
    const box = picture.getBoundingClientRect();
    return Math.min(LOW, Math.max(TOP, ((event.clientY - box.top) / box.height) * TALL));
  };
  let from = null;
  group.clear = () => band.setAttribute("height", 0);
  target.addEventListener("pointerdown", (event) => {
    from = height(event);
    target.setPointerCapture(event.pointerId);
  });
  target.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const [top, bottom] = [from, height(event)].sort((a, b) => a - b);
    band.setAttribute("y", top);
    band.setAttribute("height", bottom - top);
    want(bottom - top < 4 ? null : [axis.value(bottom), axis.value(top)]);
  });
  target.addEventListener("pointerup", () => {
    from = null;
    if (Number(band.getAttribute("height")) < 4) group.clear();
  });
  return group;
}
