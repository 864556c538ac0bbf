// Your model: a file of minidl or ONNX; its graph, shapes, receptive fields, times, and what it says of a picture.
import { ask, send, tried } from "./api.js";
import { brief, byId, drawImage, make, percent, showLayers, sizes } from "./pictures.js";

let model = null, answer = null;
const INCH = 96;

let opened = ""; // what is said of the model
async function asking(saying, asked) {
  byId("mo-error").textContent = "";
  byId("mo-said").textContent = saying;
  const [answer, failed] = await tried(asked);
  byId("mo-error").textContent = failed?.message ?? "";
  byId("mo-said").textContent = opened;
  return answer;
}

byId("mo-file").onchange = async () => {
  const [file] = byId("mo-file").files;
  if (!file) return;
  const told = await asking(`Reading ${file.name} …`, send("open", file, { name: file.name }));
  byId("mo-file").value = "";
  if (!told) return;
  model = told.model;
  answer = null;
  byId("mo-answer").replaceChildren();
  byId("mo-maps").replaceChildren();
  show(told);
};

byId("mo-measure").onclick = async () => {
  const shape = byId("mo-shape").value.split(/[\s,x×()]+/).filter(Boolean).map(Number);
  const told = await asking("Measuring …", ask("measure", { model: model, shape }));
  if (told) show(told);
};

byId("mo-picture").onchange = async () => {
  const [file] = byId("mo-picture").files;
  if (!file) return;
  const told = await asking(`Running on ${file.name} …`, send("picture", file, { model: model }));
  byId("mo-picture").value = "";
  if (!told) return;
  answer = told;
  const canvas = make("canvas", { class: "picture", role: "img", "aria-label": "The picture as the network gets it" });
  drawImage(canvas, told.pixels);
  const list = (told.best ?? []).map(([name, share]) => make("li", {}, `${name}: ${percent(share)}`));
  byId("mo-answer").replaceChildren(make("div", { class: "row" }, canvas, make("ol", {}, ...list)));
  repaint();
};

function show(told) {
  byId("mo-said").textContent = opened = `${told.name}: ${told.weights.toLocaleString("en")} weights, ${told.work.toLocaleString("en")} multiply-adds for an image of ${sizes(told.shape)}.`;
  byId("mo-shape").value = told.shape.join(", ");
  byId("mo-shapes").hidden = false;
  byId("mo-picture-label").hidden = told.shape.length !== 3;
  for (const title of document.querySelectorAll("#model h2")) title.hidden = false;
  graph(told.graph);
  const most = Math.max(...told.times.map((row) => row.us)), total = told.times.reduce((sum, row) => sum + row.us, 0);
  const rows = told.times.map((row) => {
    const bar = make("span", { class: "share" });
    bar.style.width = `${Math.max(1, (100 * row.us) / most)}px`;
    return make("tr", {}, make("th", { scope: "row" }, row.places.join(", ")), make("td", { class: "text" }, row.kinds.join(" + ")), make("td", {}, sizes(row.shape.flat())),
      make("td", {}, `${brief(row.us, 3)} µs`), make("td", { class: "text" }, bar));
  });
  const head = ["place", "layers that run as one", "output", "time", ""].map((text) => make("th", { scope: "col" }, text));
  byId("mo-times").replaceChildren(make("caption", {}, `One image, ${brief(total, 3)} µs in all, the smallest of five measurements of each step.`),
    make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  const lines = told.layers.map((row) => make("tr", {}, make("th", { scope: "row" }, row[0]), make("td", { class: "text" }, row[1]), ...row.slice(2).map((cell) => make("td", {}, cell))));
  byId("mo-layers").replaceChildren(make("caption", {}, "“sees 7 / 2”: a number sees 7 × 7 pixels of the image, its neighbour those 2 pixels further."),
    make("thead", {}, make("tr", {}, ...told.head.map((text) => make("th", { scope: "col" }, text)))), make("tbody", {}, ...lines));
}

function graph({ boxes, ways }) {
  const svg = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };
  const scale = 1.15 * INCH, right = Math.max(...boxes.map((box) => box.x + box.w / 2)), bottom = Math.max(...boxes.map((box) => box.y + box.h / 2));
  const picture = svg("svg", { width: (right + 0.1) * scale, height: (bottom + 0.1) * scale, role: "img" });
  picture.setAttribute("aria-label", `Graph of the network: ${boxes.length} boxes, ${ways.length} ways. The tables tell the same.`);
  for (const way of ways) picture.append(svg("polyline", { class: "way", points: way.map(([x, y]) => `${x * scale + 4},${y * scale + 4}`).join(" ") }));
  for (const box of boxes) {
    const [x, y] = [(box.x - box.w / 2) * scale + 4, (box.y - box.h / 2) * scale + 4];
    picture.append(svg("rect", { class: `box ${box.kind}`, x, y, width: box.w * scale, height: box.h * scale, rx: 5 }));
    [...box.lines, ...(box.shape ? [box.shape] : [])].forEach((text, i) => {
      const last = i === box.lines.length;
      picture.append(svg("text", { class: last ? "size" : "name", x: box.x * scale + 4, y: y + (i + 0.78) * 0.15 * scale + 4, "text-anchor": "middle" }, text));
    });
  }
  byId("mo-graph").replaceChildren(picture);
}

export function repaint() {
  if (!answer || byId("model").hidden) return;
  delete byId("mo-maps").dataset.key;
  showLayers(byId("mo-maps"), answer.layers);
}
export const shown = repaint; // the width may be another
