// Guidance at one scale: a slider beside the table of all scales.

function guidanceSlider(guidance) {
  const shown = make("output");
  const slider = make("input", {
    type: "range",
    min: 0,
    max: guidance.scales.length - 1,
    step: 1,
    value: 0,
    on: { input: turn },
  });
  const body = make("tbody");
  const head = make("thead", {}, make("tr", {}, ...guidance.header.map((name) => make("th", { scope: "col" }, name))));
  turn();
  const frame = make(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": "Table: guidance at one scale" },
    make("table", {}, head, body),
  );
  return make(
    "section",
    { class: "live panel", "aria-label": "Guidance at one scale" },
    make("p", {}, make("label", {}, "Guidance scale: ", slider), " ", shown),
    frame,
  );

  function turn() {
    const place = Number(slider.value);
    shown.textContent = guidance.scales[place];
    slider.setAttribute("aria-valuetext", guidance.scales[place]);
    body.replaceChildren(
      ...guidance.rows[place].map(([arm, ...figures]) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, arm),
          ...figures.map((text) => make("td", { class: "short" }, text)),
        ),
      ),
    );
  }
}
