// Every table sorts by a click on a column's head, and long ones are filtered by a word.

const FEWEST_TO_SORT = 5;
const FEWEST_TO_FILTER = 8;
const FIGURE = /^[<>x]?\s*([+\-\u2212]?\d[\d,]*\.?\d*(?:e[+-]?\d+)?)/;

/** The figure that a cell begins with, as in '1.72 ± 0.13 (3)' or '+3.3 % [-6.3, +14]'; NaN for words. */
function figureOf(text) {
  const found = FIGURE.exec(text.trim());
  return found ? Number(found[1].replaceAll(",", "").replace("\u2212", "-")) : NaN;
}

/** Compare two rows by a column: figures by size, words by letter; what is no figure stays last in a column of them. */
function comparison(rows, column, direction) {
  const text = (row) => row.cells[column]?.textContent.trim() ?? "";
  const figures = rows.filter((row) => !Number.isNaN(figureOf(text(row)))).length;
  if (2 * figures < rows.length) {
    return (a, b) => direction * text(a).localeCompare(text(b), "en", { numeric: true });
  }
  return (a, b) => {
    const [x, y] = [figureOf(text(a)), figureOf(text(b))];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return direction * (x - y);
  };
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const written = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = make(
      "button",
      { type: "button", class: "sort", on: { click: () => sort(column) } },
      ...head.childNodes,
    );
    head.replaceChildren(button);
  });
  // A first click sorts rising, a second falling, a third gives the rows back in the order of the guide.
  function sort(column) {
    const before = heads[column].getAttribute("aria-sort");
    const after = before === "ascending" ? "descending" : before === "descending" ? null : "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    if (after) heads[column].setAttribute("aria-sort", after);
    const rows = [...written];
    if (after) rows.sort(comparison(written, column, after === "ascending" ? 1 : -1));
    body.append(...rows);
  }
}

function makeFilterable(table, frame) {
  const rows = [...table.tBodies[0].rows];
  const count = make("output", { class: "count" });
  const input = make("input", { type: "search", autocomplete: "off", on: { input: filter } });
  frame.before(make("p", { class: "live" }, make("label", {}, "Filter rows: ", input), " ", count));
  function filter() {
    const wanted = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = wanted ? `${shown} of ${rows.length} rows` : "";
  }
}

for (const frame of document.querySelectorAll(".scroll")) {
  const table = frame.querySelector("table:not(.map)");
  const rows = table?.tBodies[0]?.rows.length ?? 0;
  if (rows >= FEWEST_TO_SORT) makeSortable(table);
  if (rows >= FEWEST_TO_FILTER) makeFilterable(table, frame);
}
