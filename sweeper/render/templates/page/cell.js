// One setting beside the baseline: its figures, its curve and its health. Whoever chooses a setting calls `choose`.

const listeners = [];
let chosen = null;

function choose(key) {
  chosen = key;
  for (const listener of listeners) listener(key);
}

function cellPanel(page) {
  const byKey = new Map(page.cells.map((cell) => [cell.key, cell]));
  const picker = make("select", { on: { change: () => choose(picker.value) } });
  picker.append(...page.cells.map((cell) => make("option", { value: cell.key }, cell.label)));
  const facts = make("dl");
  const charts = make("div", { class: "charts" });
  const legend = make("p", { class: "caption" });
  const samples = make("div", { class: "samples" });
  const panel = make("section", { class: "live panel", "aria-label": "One setting beside the baseline" });
  panel.append(make("p", {}, make("label", {}, "Setting: ", picker)), facts, charts, legend, samples);
  listeners.push((key) => {
    const cell = byKey.get(key);
    picker.value = key;
    facts.replaceChildren(
      ...cell.facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
    );
    charts.replaceChildren(...cellCharts(page, cell));
    samples.replaceChildren(...sampleGrids(page.samples, cell));
    legend.hidden = !charts.childElementCount;
    const band = `Mean over ${page.seeds} seeds; the band goes from the lowest to the highest.`;
    legend.textContent = `Dashed: lambda 0. Solid: ${cell.label}. ${band}`;
  });
  return panel;
}

/** The setting's samples and the baseline's, of the same seed, noise and labels. */
function sampleGrids(samples, cell) {
  if (!samples?.grids[cell.key]) return [];
  const grid = (words, png) =>
    make(
      "figure",
      {},
      make("img", { alt: `Samples: ${words}`, src: `data:image/png;base64,${png}` }),
      make("figcaption", {}, words),
    );
  return [
    grid(`lambda 0, seed ${samples.seed}`, samples.baseline),
    grid(`${cell.label}, same seed, noise and labels`, samples.grids[cell.key]),
  ];
}

function cellCharts(page, cell) {
  const pair = (pick) =>
    [
      [page.baseline, "lambda 0", "base"],
      [cell, cell.label, "cell"],
    ].map(([one, label, tone]) => ({
      label,
      tone,
      points: one ? pick(one) : [],
    }));
  const of = (place) => (one) => one.blocks.filter((at) => at[place] !== null).map((at) => [at[0], at[place]]);
  const wanted = [
    [`${page.curve_metric} by step`, "step", pair((one) => one.curve), false],
    ["Feature norm by block", "block", pair(of(1)), true],
    ["Effective rank by block", "block", pair(of(2)), true],
  ];
  return wanted.filter(([, , lines]) => lines[1].points.length).map((one) => chart(...one));
}
