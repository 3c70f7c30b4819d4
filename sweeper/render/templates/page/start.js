// What the page has data for is put where it belongs; an atlas has tables alone.

const source = document.getElementById("data");
if (source) {
  const page = JSON.parse(source.textContent);
  const maps = document.querySelector(".maps");
  let dim = () => {};
  if (maps) {
    dim = mapOfButtons(page, maps);
    pageSlider(maps);
  }
  if (page.cells.length) {
    const several = page.axes.length > 1 && page.cells.filter((cell) => !cell.is_control).length > 1;
    const panels = [cellPanel(page), ...(several ? [parallel(page, dim)] : [])];
    const caption = maps?.nextElementSibling;
    if (caption) caption.after(...panels);
    else document.getElementById("evidence")?.before(...panels);
    document.querySelector("main").append(note);
    document.addEventListener("keydown", (event) => event.key === "Escape" && hideNote());
    choose(page.first);
  }
  if (page.guidance) {
    const table = [...document.querySelectorAll(".scroll")].find((frame) =>
      frame.textContent.trim().startsWith("guidance scale"),
    );
    table?.before(guidanceSlider(page.guidance));
  }
}
