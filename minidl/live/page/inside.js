// Look inside: one number of one map, the window that it sees, the sums, and the loop that computes it.
import { ask, latest } from "./api.js";
import { brief, byId, drawImage, fault, drawMaps, make, numberTable, showLayers, sizes, unpack, write } from "./pictures.js";

let layers = [], pixels = null, told = null;
const number = (id) => Math.max(0, Math.round(Number(byId(id).value) || 0));
const image = () => (byId("in-image").value === "drawn" ? "drawn" : byId("in-number").valueAsNumber);
function failed(error) {
  fault("in-number", error?.fields?.image ?? "");
  write(byId("in-error"), error && !error.fields?.image ? error.message : "");
}
const layer = () => layers.find((each) => each.place === byId("in-layer").value);

/** All maps of the image, then the number that is chosen. */
const look = latest(async () => {
  try {
    const answer = await ask("look", { image: image() });
    [layers, pixels] = [answer.layers, answer.pixels];
    const before = byId("in-layer").value, last = layers.at(-1);
    layers.push({ place: "softmax", kind: "", maps: last.maps, all: last.maps.all });
    byId("in-layer").replaceChildren(...layers.map((each) => make("option", { value: each.place }, `${each.place} ${each.kind}`.trim())));
    byId("in-layer").value = layers.some((each) => each.place === before) ? before : layers[0].place;
    showLayers(byId("in-maps"), layers.slice(0, -1), { tile: 28, width: 250, onPick: pick });
    await explain();
  } catch (error) { failed(error); }
});

function pick(which, map, y, x) {
  byId("in-layer").value = which.place;
  choose(map, y, x);
}

function choose(map, y, x) {
  [byId("in-map").value, byId("in-row").value, byId("in-column").value] = [map, y, x];
  explain();
}

/** Keep the chosen place inside of the layer's output. */
function bound() {
  const all = layer().maps.all, ends = all.length === 1 ? [1, 1, all[0]] : all;
  ["in-map", "in-row", "in-column"].forEach((id, i) => {
    byId(id).max = ends[i] - 1;
    byId(id).disabled = ends[i] === 1;
    if (number(id) >= ends[i]) byId(id).value = ends[i] - 1;
  });
}

const explain = latest(async () => {
  if (!layers.length) return;
  bound();
  try {
    told = await ask("explain", { image: image(), place: byId("in-layer").value, channel: number("in-map"), row: number("in-row"), column: number("in-column") });
    failed(null);
    paint();
  } catch (error) { failed(error); }
});

// ---- pictures with a window on them -----------------------------------------------------------------------------------

/** A map, or the image, enlarged into a frame, some of its cells outlined; onPick gets (row, column). */
function frame(container, name, draw, m, cells, onPick) {
  let canvas = container.querySelector("canvas");
  if (!canvas) container.append((canvas = make("canvas", { role: "img" })));
  draw(canvas);
  const scale = Math.max(1, Math.floor(Math.min(230, container.parentElement.parentElement.clientWidth - 4) / m.w));
  canvas.style.width = `${canvas.width * scale}px`;
  canvas.style.height = `${canvas.height * scale}px`;
  canvas.setAttribute("aria-label", name);
  container.querySelectorAll("i").forEach((each) => each.remove());
  for (const [y, x, h, w] of cells) {
    const box = make("i");
    Object.assign(box.style, { left: `${x * scale}px`, top: `${y * scale}px`, width: `${w * scale}px`, height: `${h * scale}px` });
    container.append(box);
  }
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [Math.floor((event.clientY - box.top) / scale), Math.floor((event.clientX - box.left) / scale)];
  };
  canvas.onclick = onPick && ((event) => onPick(...at(event)));
  canvas.onpointermove = onPick && ((event) => { if (event.buttons || event.pointerType === "mouse") onPick(...at(event)); });
  canvas.tabIndex = onPick ? 0 : -1;
}

/** Outlines of the places of a window: one around all where they touch, else one each. */
function outlines(rows, columns) {
  const dense = (places) => places.every((place, i) => i === 0 || place === places[i - 1] + 1);
  if (!rows.length || !columns.length) return [];
  if (dense(rows) && dense(columns)) return [[rows[0], columns[0], rows.length, columns.length]];
  return rows.flatMap((y) => columns.map((x) => [y, x, 1, 1]));
}

function paint() {
  [...byId("in-maps").children].forEach((each, i) => each.classList.toggle("on", layers[i].place === byId("in-layer").value));
  const here = layer(), m = unpack(here.maps), [map, row, column] = [number("in-map"), number("in-row"), number("in-column")];
  const every = m.every, spot = m.row ? [Math.floor(column / m.w), column % m.w] : [Math.floor(row / every), Math.floor(column / every)];
  byId("in-output-title").textContent = told.place === "softmax" ? "Scores" : `Output: layer ${told.place}, map ${map} of ${sizes(here.maps.all)}`;
  const only = m.row ? 0 : Math.min(map, m.n - 1);
  frame(byId("in-output"), `The output, with number ${brief(told.value)} outlined`, (canvas) => drawMaps(canvas, m, { only }), m, [[...spot, 1, 1]],
    (y, x) => {
      const to = m.row ? [0, 0, y * m.w + x] : [map, y * every, x * every];
      if (y >= 0 && x >= 0 && y < m.h && x < m.w && String(to) !== String([map, number("in-row"), number("in-column")])) choose(...to);
    });
  source();
  byId("in-words").replaceChildren(make("b", {}, `y = ${brief(told.value)}. `), told.words);
  const grids = told.grids.map((grid) => numberTable(grid.title, grid.cells, { marked: grid.marked, zeros: padding(grid) }));
  const lines = [];
  const three = grids.length % 3 === 0 && grids.length;
  for (let i = 0; i < grids.length; i += three ? 3 : 1)
    lines.push(make("div", { class: "grids" }, ...(three ? [grids[i], "×", grids[i + 1], "=", grids[i + 2]] : [grids[i]])));
  byId("in-grids").replaceChildren(...lines);
  byId("in-sums").replaceChildren(byId("in-sums").caption, ...told.sums.map(([text, value]) => make("tr", {}, make("td", {}, text), make("td", {}, brief(value, 5)))));
  byId("in-sums").hidden = !told.sums.length;
  code();
}

/** Whether a cell of a window lies in the padding. */
function padding(grid) {
  const seen = told.window;
  if (!seen || !grid.title.startsWith("window")) return () => false;
  const from = layers.find((each) => each.place === seen.source), [H, W] = (from ? from.maps.all : pixels.shape).slice(-2);
  return (y, x) => seen.rows[y] < 0 || seen.columns[x] < 0 || seen.rows[y] >= H || seen.columns[x] >= W;
}

function source() {
  const seen = told.window, from = seen && layers.find((each) => each.place === seen.source);
  byId("in-source").parentElement.hidden = !seen;
  if (!seen) return;
  const m = from ? unpack(from.maps) : { w: pixels.shape.at(-1), h: pixels.shape.at(-2), every: 1 };
  const [rows, columns] = m.row ? [[Math.floor(seen.columns[0] / m.w)], [seen.columns[0] % m.w]] : [seen.rows, seen.columns];
  const thin = (places) => (m.every === 1 ? places : [...new Set(places.map((place) => Math.floor(place / m.every)))]);
  const channel = Math.min(seen.channels[0], (m.n ?? 1) - 1), more = seen.channels.length - 1;
  const which = from ? `layer ${from.place}${m.row ? "" : `, map ${seen.channels[0]}`}` : "the image";
  byId("in-source-title").textContent = `Input: ${which}${more ? `, and the same window of ${more} more` : ""}`;
  frame(byId("in-source"), "The input, with the window that was seen outlined",
    (canvas) => (from ? drawMaps(canvas, m, { only: m.row ? 0 : channel }) : drawImage(canvas, pixels)), m, outlines(thin(rows), thin(columns)), null);
}

function code() {
  const { code } = told;
  byId("in-file").textContent = code ? `The naive loop: ${code.file}` : "The naive loop";
  byId("in-code").replaceChildren(...(code?.lines ?? []).map((line, i) =>
    make("tr", { class: line.note ? "ran" : null }, make("td", {}, code.first + i), make("td", {}, line.text), make("td", {}, line.note ?? ""))));
}

for (const id of ["in-map", "in-row", "in-column", "in-layer"]) byId(id).onchange = () => explain();
for (const id of ["in-image", "in-number"]) byId(id).onchange = () => look();
byId("in-output").onkeydown = (event) => {
  const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!way) return;
  event.preventDefault();
  const m = unpack(layer().maps);
  if (m.row) choose(0, 0, Math.max(0, number("in-column") + way[1] + way[0] * m.w));
  else choose(number("in-map"), Math.max(0, number("in-row") + way[0] * m.every), Math.max(0, number("in-column") + way[1] * m.every));
};

// ---- under sliders --------------------------------------------------------------------------------------------------

const RANGES = { size: [1, 12, 7], kernel: [1, 7, 3], stride: [1, 5, 1], padding: [0, 5, 0], dilation: [1, 4, 1] };
let small = null, spot = [0, 0];

function makeSliders() {
  byId("sliders").replaceChildren(...Object.entries(RANGES).map(([name, [min, max, value]]) => {
    const out = make("output", {}, value);
    const input = make("input", { type: "range", id: `sl-${name}`, min, max, value, input: () => { out.textContent = input.value; slide(); } });
    return make("label", { for: `sl-${name}` }, name === "size" ? "picture" : name, input, out);
  }));
}

const slide = latest(async () => {
  const asked = Object.fromEntries(Object.keys(RANGES).map((name) => [name, Number(byId(`sl-${name}`).value)]));
  small = { ...(await ask("windows", asked)), asked };
  spot = [0, 0];
  byId("sl-words").textContent = small.words;
  byId("sl-error").textContent = small.error ? `The library says: ${small.error}` : "";
  showSmall();
});

function showSmall() {
  const { image: picture, kernel: weights, output } = small, { padding: pad, stride, dilation } = small.asked, size = picture.length + 2 * pad;
  const padded = Array.from({ length: size }, (_, y) => Array.from({ length: size }, (_, x) => picture[y - pad]?.[x - pad] ?? 0));
  const outside = (y, x) => picture[y - pad]?.[x - pad] === undefined;
  const input = numberTable("picture, with its zeros", padded, { zeros: outside });
  const tables = [input, numberTable("kernel", weights ?? [])];
  if (output) {
    const result = numberTable("output", output, { marked: spot });
    tables.push(result);
    for (let i = 0; i < weights.length; i++)
      for (let j = 0; j < weights.length; j++) input.rows[spot[0] * stride + i * dilation]?.cells[spot[1] * stride + j * dilation]?.classList.add("marked");
    [...result.rows].forEach((row, y) => [...row.cells].forEach((cell, x) => {
      cell.onpointerenter = cell.onclick = () => { if (spot[0] !== y || spot[1] !== x) { spot = [y, x]; showSmall(); } };
    }));
  }
  byId("sl-tables").replaceChildren(...tables);
}

export async function begin() {
  makeSliders();
  await slide();
}
export const shown = () => look();
export function repaint() {
  if (byId("inside").hidden || !told) return;
  delete byId("in-maps").dataset.key;
  showLayers(byId("in-maps"), layers.slice(0, -1), { tile: 28, width: 250, onPick: pick });
  paint();
  showSmall();
}

// While it trains the numbers change: they are asked for again, once a second at most.
let asked = 0;
export function news(report) {
  const now = performance.now();
  if (!byId("inside").hidden && now - asked > 1000 && (report.fresh || report.status === "running")) { asked = now; look(); }
}
