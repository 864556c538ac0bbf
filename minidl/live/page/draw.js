// Draw: a digit by mouse, finger or pen; what the network says of it while one draws.
import { ask, latest } from "./api.js";
import { byId, make, percent, showLayers, write } from "./pictures.js";
import { current } from "./train.js";

const pad = byId("pad"), ink = pad.getContext("2d", { willReadFrequently: true });
const BOX = 20 / 28; // The digits of MNIST fill so much of their image, and have their centre of mass in its middle.
let last = null, layers = null, cursor = [140, 140], drawing = false;

function clear() {
  ink.fillStyle = "#000";
  ink.fillRect(0, 0, pad.width, pad.height);
  layers = null;
  byId("guess").textContent = "Nothing is drawn yet.";
  byId("bars").replaceChildren();
  byId("draw-maps").replaceChildren();
  delete byId("draw-maps").dataset.key;
  byId("small").getContext("2d", { willReadFrequently: true }).clearRect(0, 0, 280, 280);
}

function stroke(from, to) {
  ink.strokeStyle = "#fff";
  ink.lineWidth = Number(byId("pen").value);
  ink.lineCap = ink.lineJoin = "round";
  ink.beginPath();
  ink.moveTo(...from);
  ink.lineTo(to[0] + 0.01, to[1]); // a line without length would leave no dot
  ink.stroke();
  tell();
}

function at(event) {
  const box = pad.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * pad.width, ((event.clientY - box.top) / box.height) * pad.height];
}

pad.onpointerdown = (event) => {
  event.preventDefault();
  pad.setPointerCapture(event.pointerId);
  last = at(event);
  stroke(last, last);
};
pad.onpointermove = (event) => {
  if (!last) return;
  for (const each of event.getCoalescedEvents?.() ?? [event]) { const to = at(each); stroke(last, to); last = to; }
};
pad.onpointerup = pad.onpointercancel = () => { last = null; };
pad.onkeydown = (event) => {
  const way = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
  if (event.key === " ") { drawing = true; event.preventDefault(); stroke(cursor, cursor); }
  else if (event.key === "Delete") clear();
  else if (way) {
    event.preventDefault();
    const to = cursor.map((value, i) => Math.min(270, Math.max(10, value + way[i])));
    if (drawing) stroke(cursor, to);
    cursor = to;
  }
};
pad.onkeyup = (event) => { if (event.key === " ") drawing = false; };
byId("clear").onclick = clear;

/** The drawing as gray pixels (H, W), moved and scaled as the digits of MNIST are; null for an empty one. */
function pixels(H, W) {
  const { data } = ink.getImageData(0, 0, pad.width, pad.height), size = pad.width;
  let [left, top, right, bottom, mass, mx, my] = [size, size, -1, -1, 0, 0, 0];
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const value = data[4 * (y * size + x)];
      if (!value) continue;
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
      [mass, mx, my] = [mass + value, mx + value * x, my + value * y];
    }
  if (!mass) return null;
  const scale = (BOX * Math.min(H, W)) / Math.max(right - left + 1, bottom - top + 1);
  const small = byId("small");
  [small.width, small.height] = [W, H];
  const g = small.getContext("2d", { willReadFrequently: true });
  g.fillStyle = "#000";
  g.fillRect(0, 0, W, H);
  g.imageSmoothingEnabled = true;
  g.imageSmoothingQuality = "high";
  g.setTransform(scale, 0, 0, scale, W / 2 - scale * (mx / mass + 0.5), H / 2 - scale * (my / mass + 0.5));
  g.drawImage(pad, 0, 0);
  g.setTransform(1, 0, 0, 1, 0, 0);
  const found = g.getImageData(0, 0, W, H).data, gray = new Uint8Array(H * W);
  for (let i = 0; i < gray.length; i++) gray[i] = found[4 * i];
  return gray;
}

const tell = latest(async () => {
  await new Promise(requestAnimationFrame);
  const { about } = current();
  if (!about) return;
  const [, H, W] = about.set.shape, gray = pixels(H, W);
  if (!gray) return;
  try {
    const answer = await ask("draw", { pixels: btoa(String.fromCharCode(...gray)), maps: true });
    if (last || pixels(H, W)) show(answer);
  } catch (error) { byId("guess").textContent = error.message; }
});

function show(answer) {
  const best = answer.scores.indexOf(Math.max(...answer.scores)), bars = byId("bars");
  write(byId("guess"), `It looks like ${answer.names[best]}.`);
  if (bars.children.length !== 3 * answer.names.length)
    bars.replaceChildren(...answer.names.flatMap((name) => [make("b", {}, name), make("div", { class: "track" }, make("div", { class: "fill" })), make("b")]));
  answer.scores.forEach((score, i) => {
    const [name, track, share] = [...bars.children].slice(3 * i, 3 * i + 3);
    track.firstChild.style.width = `${100 * score}%`;
    share.textContent = percent(score);
    name.classList.toggle("best", i === best);
  });
  layers = answer.layers;
  showLayers(byId("draw-maps"), layers, { tile: 42 });
}

export function repaint() { if (layers && !byId("draw").hidden) showLayers(byId("draw-maps"), layers, { tile: 42 }); }
export function shown() { if (layers) tell(); }

// The network learns on while the drawing stays: it is asked again, twice a second at most.
let asked = 0;
export function news(told) {
  const now = performance.now();
  if (layers && !byId("draw").hidden && !last && now - asked > 500 && told.status === "running") { asked = now; tell(); }
}

export async function begin() { clear(); }
