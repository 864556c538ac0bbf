// Arrays as pictures: blue below 0, orange above 0, each layer on a scale of its own.

/** An element: attributes by name, those with a function being listeners; then its content. */
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...content.map((each) => (each instanceof Node ? each : String(each))));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Let an element have this text; one that has it is left alone, as the browser would lay it out again. */
export function write(element, text) { if (element.textContent !== String(text)) element.textContent = text; }

/** Show beside a field what is wrong with it; "" when it is right. */
export function fault(id, text) {
  const field = byId(id), line = byId(`${id}-fault`) ?? make("p", { id: `${id}-fault`, class: "error", role: "alert" });
  if (!line.isConnected) field.after(line);
  field.setAttribute("aria-invalid", Boolean(text));
  field.setAttribute("aria-describedby", line.id);
  write(line, text);
}

const views = new WeakMap();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const view = views.get(target), draw = view.waiting;
    [view.seen, view.waiting] = [isIntersecting, isIntersecting ? null : draw];
    if (isIntersecting) draw?.();
  }
}, { rootMargin: "100px" });

/** Draw into an element now, or, where it is hidden or out of sight, when it comes into sight. Its first time is now, for its size. */
export function inSight(element, draw) {
  const view = views.get(element) ?? { seen: true, waiting: null }, now = view.seen && element.checkVisibility();
  view.waiting = now ? null : draw;
  if (!views.has(element)) { views.set(element, view); sight.observe(element); }
  if (now) draw();
}

/** A number in few characters. */
export function brief(value, digits = 4) {
  if (value === null || value === undefined) return "not finite";
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(digits - 2) : String(Number(value.toPrecision(digits)));
}

/** A share of one as a percentage. */
export const percent = (share) => `${(100 * share).toFixed(1)} %`;

export const sizes = (shape) => shape.join(" × ");

function bytes(text) {
  const raw = atob(text), found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return found;
}

// ---- colours --------------------------------------------------------------------------------------------------------

let table = null;

function channels(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
}

/** For each int8 from -128 to 127 a colour of this theme. */
function colours() {
  if (table) return table;
  const [zero, neg, pos] = ["--zero", "--neg", "--pos"].map(channels);
  table = new Uint32Array(256);
  for (let q = -128; q < 128; q++) {
    const part = Math.min(1, Math.abs(q) / 127) ** 0.8, end = q < 0 ? neg : pos;
    const [r, g, b] = zero.map((z, i) => Math.round(z + (end[i] - z) * part));
    table[q + 128] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

/** After a change of the theme. */
export function forgetColours() { table = null; }

// ---- maps -----------------------------------------------------------------------------------------------------------

/** What `packed.maps` has sent: {n, h, w, q, scale, every}; a row of numbers becomes lines of at most 64. */
export function unpack(sent) {
  let [n, h, w] = sent.shape;
  let q = new Int8Array(bytes(sent.data).buffer);
  const row = sent.all.length === 1;
  if (row && w > 64) {
    h = Math.ceil(w / 64);
    const wider = new Int8Array(h * 64);
    wider.set(q);
    [q, w] = [wider, 64];
  }
  return { n, h, w, q, scale: sent.scale, every: sent.every, row, count: row ? sent.shape[2] : n * h * w };
}

/** The number that stands for a pixel, about. */
export const valueAt = (m, map, y, x) => (m.q[(map * m.h + y) * m.w + x] / 127) * m.scale;

/** Draw maps side by side into a canvas; returns where they lie, for pointers. only: one map alone. */
export function drawMaps(canvas, m, { width = 480, tile = 56, only = null } = {}) {
  const maps = only === null ? [...Array(m.n).keys()] : [only];
  const wide = m.row ? Math.max(5, Math.min(14, Math.floor(Math.min(width, 640) / m.w))) : Math.max(1, Math.floor(tile / Math.max(m.h, m.w)));
  const columns = Math.max(1, Math.min(maps.length, Math.floor((width + wide) / (m.w * wide + wide))));
  const rows = Math.ceil(maps.length / columns);
  const W = columns * (m.w + 1) - 1, H = rows * (m.h + 1) - 1;
  const picture = new ImageData(W, H), pixels = new Uint32Array(picture.data.buffer), colour = colours();
  maps.forEach((map, at) => {
    const top = Math.floor(at / columns) * (m.h + 1), left = (at % columns) * (m.w + 1);
    for (let y = 0; y < m.h; y++)
      for (let x = 0; x < m.w; x++) {
        if (m.row && y * m.w + x >= m.count) continue;
        pixels[(top + y) * W + left + x] = colour[m.q[(map * m.h + y) * m.w + x] + 128];
      }
  });
  if (canvas.width !== W || canvas.height !== H) [canvas.width, canvas.height] = [W, H];
  canvas.style.width = `${W * wide}px`;
  canvas.style.aspectRatio = `${W} / ${H}`;
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return { columns, maps };
}

/** Which map and pixel a pointer is at; null between maps. */
export function pointed(canvas, m, place, event) {
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * canvas.height);
  const column = Math.floor(x / (m.w + 1)), row = Math.floor(y / (m.h + 1));
  const map = place.maps[row * place.columns + column];
  const [py, px] = [y - row * (m.h + 1), x - column * (m.w + 1)];
  if (map === undefined || column >= place.columns || px >= m.w || py >= m.h || px < 0 || py < 0) return null;
  return { map, y: py, x: px };
}

/** A layer's maps under their heading; the elements of the last time are used again. onPick gets (layer, map, y, x). */
export function showLayers(container, layers, { onPick = null, tile = 56, width = null } = {}) {
  const key = layers.map((layer) => layer.place).join();
  if (container.dataset.key !== key) {
    container.dataset.key = key;
    container.replaceChildren(...layers.map((layer) => {
      const canvas = make("canvas", { role: "img", "aria-label": `Maps of layer ${layer.place}` });
      return make("div", { class: "layer" }, make("h4"), canvas);
    }));
  }
  layers.forEach((layer, i) => {
    const [title, canvas] = container.children[i].children;
    inSight(canvas, () => showLayer(title, canvas, layer, { onPick, tile, width: width ?? container.clientWidth - 4 }));
  });
}

function showLayer(title, canvas, layer, { onPick, tile, width }) {
  const m = unpack(layer.maps);
  const shown = layer.maps.all.length > 1 && m.n < layer.maps.all[0] ? `, ${m.n} of them` : "";
  const text = `${layer.place} ${layer.kind ?? ""}`.trim();
  const detail = `${sizes(layer.maps.all)}${shown}, up to ${brief(m.scale, 3)}${layer.maps.lost ? `, ${layer.maps.lost} not finite` : ""}`;
  if (title.dataset.text !== text + detail) {
    title.dataset.text = text + detail;
    title.replaceChildren(`${text} `, make("span", {}, detail));
    canvas.setAttribute("aria-label", `Maps of layer ${text}, ${detail}`);
  }
  const place = drawMaps(canvas, m, { width, tile });
  canvas.onpointermove = (event) => {
    const at = pointed(canvas, m, place, event);
    if (at && !(m.row && at.y * m.w + at.x >= m.count))
      canvas.title = `${m.row ? `number ${at.y * m.w + at.x}` : `map ${at.map}, row ${at.y * m.every}, column ${at.x * m.every}`}: ${brief(valueAt(m, at.map, at.y, at.x), 3)}`;
  };
  canvas.onclick = onPick && ((event) => {
    const at = pointed(canvas, m, place, event);
    if (at) onPick(layer, at.map, m.row ? 0 : at.y * m.every, m.row ? at.y * m.w + at.x : at.x * m.every);
  });
}

// ---- images ---------------------------------------------------------------------------------------------------------

/** Draw image number `i` of what `packed.images` has sent. */
export function drawImage(canvas, sent, i = 0) {
  const [C, H, W] = sent.shape.slice(-3), data = bytes(sent.data), picture = new ImageData(W, H);
  for (let p = 0; p < H * W; p++) {
    for (let c = 0; c < 3; c++) picture.data[4 * p + c] = data[(i * C + Math.min(c, C - 1)) * H * W + p];
    picture.data[4 * p + 3] = 255;
  }
  [canvas.width, canvas.height] = [W, H];
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** Small pictures with a line below each; onPick gets the image's number. */
export function thumbs(container, answer, names, onPick) {
  container.replaceChildren(...answer.images.map((number, i) => {
    const canvas = make("canvas");
    drawImage(canvas, answer.pixels, i);
    const [truth, guess] = [names[answer.truth[i]], answer.guess.length ? names[answer.guess[i]] : "?"];
    const text = `${truth}, said ${guess}`;
    return make("button", { type: "button", class: "thumb", click: () => onPick(number), "aria-label": `Image ${number}: it is ${text}` }, canvas, text);
  }));
}

/** A table of numbers, tinted by sign; marked: [row, column]. */
export function numberTable(title, cells, { marked = null, zeros = () => false } = {}) {
  const most = Math.max(...cells.flat().map((v) => Math.abs(v ?? 0)), 1e-9);
  const body = cells.map((row, y) => make("tr", {}, ...row.map((value, x) => {
    const kinds = [marked && marked[0] === y && marked[1] === x ? "marked" : "", zeros(y, x) ? "zero" : ""].join(" ").trim();
    const cell = make("td", { class: kinds || null }, brief(value, 3));
    const share = Math.round((Math.abs(value ?? 0) / most) * 38);
    if (share) cell.style.background = `color-mix(in srgb, var(--${value < 0 ? "neg" : "pos"}) ${share}%, transparent)`;
    return cell;
  })));
  return make("table", { class: "numbers-table" }, make("caption", {}, title), ...body);
}
