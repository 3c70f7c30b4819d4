// A small chart of lines: axes with round ticks, a band from the lowest to the highest seed, the baseline dashed.

const WIDE = 330;
const HIGH = 220;
const EDGE = { left: 46, right: 10, top: 26, bottom: 36 };

/** Round values between two: 1, 2 or 5 times a power of ten, about four of them. */
function linearTicks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  // The 0 that is added makes 0 of -0.
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + 1e-9 * step; place += 1)
    ticks.push(place * step + 0);
  return ticks;
}

/** As above for a log axis that has two or more such values; a narrower one is ticked as a linear one. */
function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const factor of [1, 2, 5]) {
      const tick = factor * 10 ** power;
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks.length >= 2 ? ticks : linearTicks(low, high);
}

function written(value) {
  return (value + 0).toLocaleString("en", { maximumSignificantDigits: 3 }); // + 0: a tick may be -0
}

/** Map values to pixels and back; a single value lies in the middle. */
function scale(values, from, to, log) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (low === high) [low, high] = log ? [low / 1.1, high * 1.1] : [low - 0.5, high + 0.5];
  const [of, back] = log ? [Math.log, Math.exp] : [(value) => value, (value) => value];
  const place = (value) => from + ((of(value) - of(low)) / (of(high) - of(low))) * (to - from);
  const value = (pixel) => back(of(low) + ((pixel - from) / (to - from)) * (of(high) - of(low)));
  return { place, value, ticks: (log ? logTicks : linearTicks)(low, high) };
}

/** Draw lines, each { label, tone, points: [[x, y, low, high]] }, on a log y where all values allow it. */
function chart(title, xName, lines, whole) {
  const known = lines.filter((line) => line.points.length);
  const points = known.flatMap((line) => line.points);
  const heights = points.flatMap(([, ...ys]) => ys);
  const x = scale(
    points.map((point) => point[0]),
    EDGE.left,
    WIDE - EDGE.right,
    false,
  );
  const y = scale(
    heights,
    HIGH - EDGE.bottom,
    EDGE.top,
    heights.every((value) => value > 0),
  );
  const words = known.map(
    (line) => `${line.label}: ${line.points.map(([at, mean]) => `${written(mean)} at ${at}`).join(", ")}`,
  );
  const picture = draw("svg", {
    viewBox: `0 0 ${WIDE} ${HIGH}`,
    class: "chart",
    role: "img",
    "aria-label": `${title}. ${words.join("; ")}`,
  });
  picture.append(draw("text", { x: EDGE.left, y: 14, class: "title" }, title), ...xAxis(x, xName, whole), ...yAxis(y));
  for (const line of known) picture.append(...drawn(line, x, y));
  return picture;
}

function xAxis(x, name, whole) {
  const base = HIGH - EDGE.bottom;
  const ticks = whole ? x.ticks.filter(Number.isInteger) : x.ticks;
  const marks = ticks.map((tick) =>
    draw("text", { x: x.place(tick), y: base + 15, "text-anchor": "middle" }, written(tick)),
  );
  const line = draw("line", { x1: EDGE.left, x2: WIDE - EDGE.right, y1: base, y2: base, class: "axis" });
  return [
    line,
    ...marks,
    draw("text", { x: (EDGE.left + WIDE - EDGE.right) / 2, y: HIGH - 5, "text-anchor": "middle" }, name),
  ];
}

function yAxis(y) {
  return y.ticks.flatMap((tick) => [
    draw("line", { x1: EDGE.left, x2: WIDE - EDGE.right, y1: y.place(tick), y2: y.place(tick), class: "grid" }),
    draw("text", { x: EDGE.left - 6, y: y.place(tick) + 4, "text-anchor": "end" }, written(tick)),
  ]);
}

function drawn(line, x, y) {
  const at = (place, value) => `${x.place(place).toFixed(1)},${y.place(value).toFixed(1)}`;
  const banded = line.points.every((point) => point.length === 4);
  const edge = banded
    ? [...line.points.map(([s, , , high]) => at(s, high)), ...line.points.map(([s, , low]) => at(s, low)).reverse()]
    : [];
  return [
    draw("polygon", { points: edge.join(" "), class: `band ${line.tone}` }),
    draw("polyline", { points: line.points.map(([s, mean]) => at(s, mean)).join(" "), class: `line ${line.tone}` }),
    ...line.points.map(([s, mean]) =>
      draw("circle", { cx: x.place(s), cy: y.place(mean), r: 3, class: `dot ${line.tone}` }),
    ),
  ];
}
