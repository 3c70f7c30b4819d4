// The map's cells as buttons, with a note on hover and focus; a slider through the pages of a larger grid.

const note = make("div", { class: "note", role: "tooltip", id: "note", hidden: true });

function showNote(place, cell) {
  note.replaceChildren(
    make("b", {}, cell.label),
    ...cell.facts.slice(0, 5).map(([name, value]) => make("div", {}, `${name}: ${value}`)),
  );
  note.hidden = false;
  const box = place.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - note.offsetWidth - 8);
  const below = box.bottom + note.offsetHeight + 12 < window.innerHeight;
  note.style.left = `${Math.max(8, left) + window.scrollX}px`;
  note.style.top = `${(below ? box.bottom + 6 : box.top - note.offsetHeight - 6) + window.scrollY}px`;
}

function hideNote() {
  note.hidden = true;
}

function mapOfButtons(page, maps) {
  const byKey = new Map(page.cells.map((cell) => [cell.key, cell]));
  const buttons = new Map();
  for (const place of maps.querySelectorAll("td[data-key]")) {
    const cell = byKey.get(place.dataset.key);
    if (!cell) continue;
    const show = () => showNote(button, cell);
    const click = () => {
      hideNote();
      choose(cell.key);
    };
    const on = { click, mouseenter: show, focus: show, mouseleave: hideNote, blur: hideNote };
    const button = make(
      "button",
      { type: "button", "aria-pressed": "false", "aria-describedby": "note", on },
      ...place.childNodes,
    );
    place.replaceChildren(button);
    buttons.set(cell.key, button);
  }
  listeners.push((key) => buttons.forEach((button, own) => button.setAttribute("aria-pressed", String(own === key))));
  return (isWanted) => buttons.forEach((button, key) => button.classList.toggle("out", !isWanted(key)));
}

function pageSlider(maps) {
  const frames = [...maps.querySelectorAll(".scroll")];
  if (frames.length < 2) return;
  const titles = ["all", ...frames.map((frame) => frame.querySelector("caption").textContent)];
  const shown = make("output", {}, titles[0]);
  const slider = make("input", { type: "range", min: 0, max: frames.length, step: 1, value: 0, on: { input: turn } });
  maps.prepend(make("p", { class: "live" }, make("label", {}, "Part of the map: ", slider), " ", shown));
  function turn() {
    const page = Number(slider.value);
    shown.textContent = titles[page];
    slider.setAttribute("aria-valuetext", titles[page]);
    frames.forEach((frame, place) => {
      frame.hidden = page !== 0 && page !== place + 1;
    });
  }
}
