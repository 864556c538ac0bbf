// Two lines against the steps: training solid and orange, validation dashed and blue.

const known = {};
/** A colour of the theme; asked for once, as an answer may cost a layout. */
const colour = (name) => (known[document.documentElement.dataset.theme + name] ??= getComputedStyle(document.documentElement).getPropertyValue(name).trim());

/** points, judgements: lists of [step, ...], of which number `at` is drawn. share: whether it lies in [0, 1]. */
export function drawCurve(canvas, points, judgements, at, share) {
  const ratio = devicePixelRatio || 1, W = canvas.clientWidth, H = canvas.clientHeight;
  if (!W) return;
  const [w, h] = [Math.round(W * ratio), Math.round(H * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, W, H);
  const all = [...points, ...judgements].filter((point) => point[at] !== null), none = !all.length;
  const [left, right, top, bottom] = [46, 10, 10, 22];
  const last = none ? 0 : Math.max(10, ...all.map((point) => point[0]));
  let [low, high] = [0, 1];
  if (share && !none) low = Math.min(0.9, Math.floor(Math.min(1, ...all.slice(Math.floor(all.length / 20)).map((point) => point[at])) * 10) / 10);
  if (!share) high = none ? 2.4 : Math.max(0.05, ...all.map((point) => Math.min(point[at], 5))); // 2.3 is guessing among ten
  // Round numbers stand beside the lines.
  const part = (high - low) / 4, size = 10 ** Math.floor(Math.log10(part)), tick = size * [1, 2, 2.5, 5, 10].find((each) => each * size > part - 1e-9);
  [low, high] = [Math.floor(low / tick + 1e-9) * tick, Math.ceil(high / tick - 1e-9) * tick];
  const x = (step) => left + (step / (last || 1)) * (W - left - right);
  const y = (value) => top + (1 - (Math.min(Math.max(value, low), high) - low) / (high - low)) * (H - top - bottom);
  g.font = "11px system-ui, sans-serif";
  g.fillStyle = colour("--soft");
  g.strokeStyle = colour("--line");
  g.lineWidth = 1;
  g.textAlign = "right";
  for (let value = low; value < high + tick / 2; value += tick) {
    g.beginPath();
    g.moveTo(left, y(value));
    g.lineTo(W - right, y(value));
    g.stroke();
    g.fillText(share ? `${Math.round(1000 * value) / 10} %` : Number(value.toPrecision(3)), left - 5, y(value) + 4);
  }
  g.fillText(`${last} steps`, W - right, H - 7);
  canvas.setAttribute("aria-label", `Curve of the ${share ? "right answers" : "loss"}${none ? ": no step yet" : ""}`);
  if (none) {
    g.font = "14px system-ui, sans-serif";
    g.textAlign = "center";
    g.fillText("no step yet", (left + W - right) / 2, top + (H - top - bottom) / 8 + 5);
  }
  for (const [line, name, dash] of [[points, "--pos", []], [judgements, "--neg", [6, 4]]]) {
    g.strokeStyle = g.fillStyle = colour(name);
    g.lineWidth = 2;
    g.setLineDash(dash);
    g.beginPath();
    for (const point of line) if (point[at] !== null) g.lineTo(x(point[0]), y(point[at]));
    g.stroke();
    if (line.length === 1 && line[0][at] !== null) g.fillRect(x(line[0][0]) - 3, y(line[0][at]) - 3, 6, 6);
  }
  g.setLineDash([]);
}

/** A list of points and those that have come since: at most 1200, of more each two neighbours become one. */
export function longer(before, more) {
  const last = before.at(-1)?.[0] ?? -1, points = [...before, ...more.filter((point) => point[0] > last)];
  if (points.length <= 1200) return points;
  const found = [];
  for (let i = 0; i + 1 < points.length; i += 2)
    found.push(points[i].map((value, k) => (k === 0 ? points[i + 1][0] : (value + points[i + 1][k]) / 2)));
  return found;
}
