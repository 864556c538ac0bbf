// Train: settings, the list of layers, curves, what the network sees and mistakes.
import { ask, latest, tried } from "./api.js";
import { drawCurve, longer } from "./curves.js";
import { brief, byId, drawImage, fault, inSight, make, percent, showLayers, sizes, thumbs, write } from "./pictures.js";

let about = null, run = null, look = null, points = [], judgements = [], dirty = false, settled = "";
const NUMBERS = ["batch", "epochs", "seed"], FIELDS = ["data", ...NUMBERS];
const visible = () => !byId("train").hidden;

export const current = () => ({ about, run, look });

let trouble = ""; // what the line that is said complains of
function say(text, of = "") {
  trouble = of;
  byId("said").textContent = text;
  byId("said").classList.toggle("bad", Boolean(of));
}
const mended = (of) => { if (trouble === of) say(""); };

/** Call the server; where it refuses, give null and show its line, or those of single fields beside these. */
async function asking(name, body, fields = []) {
  const [answer, failed] = await tried(ask(name, body)), told = failed?.fields ?? {}, wrong = fields.filter((id) => told[id]);
  for (const id of fields) fault(id, told[id] ?? "");
  if (!failed) mended("asked");
  else if (!wrong.length) say(failed.message, "asked");
  else if (name === "reset") say(`A new training cannot begin like this: see ${wrong.join(", ")}.`, "asked");
  return answer;
}

// ---- settings -------------------------------------------------------------------------------------------------------

const fill = (id, titles) => byId(id).replaceChildren(...Object.entries(titles).map(([value, title]) => make("option", { value }, title.title ?? title)));

byId("settings").open = innerWidth > 760;

export async function begin() {
  const told = await asking("about");
  if (!told) return;
  about = told;
  fill("data", about.data);
  fill("network", about.networks);
  fill("optimiser", about.optimisers);
  fill("change", about.changes);
  settings();
  repaint(); // a report may have come before
}

/** Show the settings that the training has. */
function settings() {
  const s = about.settings;
  for (const id of ["network", "optimiser", "change", ...FIELDS]) byId(id).value = s[id];
  for (const id of FIELDS) fault(id, "");
  helpOptimiser();
  byId("image").max = about.set.validation - 1;
  byId("input-shape").textContent = `input: ${sizes(about.set.shape)}`;
  showRows(about.rows);
  slider("lr", s.lr);
  slider("decay", s.weight_decay);
  changed(false);
}

function wanted() {
  return {
    data: byId("data").value, network: byId("network").value, layers: lines(), optimiser: byId("optimiser").value, change: byId("change").value,
    lr: slid("lr"), weight_decay: slid("decay"), ...Object.fromEntries(NUMBERS.map((id) => [id, byId(id).valueAsNumber])),
  };
}

function changed(is) {
  dirty = is;
  const broken = document.querySelector("#settings [aria-invalid=true]");
  byId("changed").textContent = broken ? "What is marked red must be mended first." : is ? "Reset begins anew with these settings." : "";
}
const helpOptimiser = () => write(byId("optimiser-help"), about.optimisers[byId("optimiser").value].help);

const slid = (id) => (id === "decay" && Number(byId(id).value) <= -6 ? 0 : Number((10 ** Number(byId(id).value)).toPrecision(3)));
function slider(id, value) {
  const text = brief(value, 3);
  if (byId(`${id}-out`).textContent === text) return;
  byId(id).value = value > 0 ? Math.log10(value) : -6.1;
  byId(id).setAttribute("aria-valuetext", text);
  byId(`${id}-out`).textContent = text;
}
const steer = latest((body) => asking("steer", body));
const moved = { lr: -1e9, decay: -1e9 }; // when a slider was moved here: reports of before must not move it back
const still = (id) => performance.now() - moved[id] > 1500;
for (const [id, name] of [["lr", "lr"], ["decay", "weight_decay"]])
  byId(id).oninput = () => {
    byId(`${id}-out`).textContent = brief(slid(id), 3);
    byId(id).setAttribute("aria-valuetext", brief(slid(id), 3));
    moved[id] = performance.now();
    steer({ [name]: slid(id) });
  };
byId("speed").onchange = () => steer({ speed: Number(byId("speed").value) });
const edit = () => { mended("asked"); changed(true); };
byId("change").onchange = edit;
for (const id of NUMBERS) byId(id).oninput = () => { fault(id, ""); edit(); };
byId("optimiser").onchange = () => {
  helpOptimiser();
  slider("lr", about.optimisers[byId("optimiser").value].lr);
  edit();
};
for (const id of ["data", "network"])
  byId(id).onchange = async () => {
    const found = await asking("layers", { data: byId("data").value, network: byId("network").value }, ["data"]);
    if (found) {
      byId("input-shape").textContent = `input: ${sizes(found.input)}`;
      showRows(found.rows);
    }
    changed(true);
  };

// ---- the list of layers -----------------------------------------------------------------------------------------------

const lines = () => [...byId("layers").querySelectorAll("input")].map((input) => input.value);

function showRows(found) {
  const list = byId("layers");
  while (list.children.length > found.length) list.lastChild.remove();
  while (list.children.length < found.length) list.append(line());
  let number = 0; // of a layer, from 0 as the library counts; empty lines have none
  found.forEach((row, i) => {
    const [input, shape] = [list.children[i].querySelector("input"), list.children[i].querySelector("p")];
    if (input.value !== row.text) input.value = row.text;
    input.setAttribute("aria-label", row.text.trim() ? `Layer ${number++}` : "Empty line");
    input.setAttribute("aria-invalid", Boolean(row.error));
    input.setAttribute("aria-describedby", (shape.id = `shape-${i}`));
    shape.classList.toggle("bad", Boolean(row.error));
    shape.textContent = row.error ?? (row.shape ? `→ ${sizes(row.shape)}${row.weights ? `, ${row.weights.toLocaleString("en")} weights` : ""}` : row.text.trim() ? "→ not known" : "");
  });
}

function line() {
  const input = make("input", { type: "text", spellcheck: "false", autocapitalize: "off", autocomplete: "off", maxlength: 1000, input: edited, keydown: keyed });
  const remove = make("button", { type: "button", "aria-label": "Remove this layer", click: (event) => { event.target.closest("li").remove(); edited(); } }, "×");
  return make("li", {}, make("div", { class: "line" }, input, remove), make("p", { class: "shape" }));
}

function keyed(event) {
  const item = event.target.closest("li");
  if (event.key === "Enter") {
    const fresh = line();
    item.after(fresh);
    fresh.querySelector("input").focus();
    edited();
  } else if (event.key === "Backspace" && !event.target.value && byId("layers").children.length > 1) {
    event.preventDefault();
    (item.previousElementSibling ?? item.nextElementSibling).querySelector("input").focus();
    item.remove();
    edited();
  } else if (event.key === "ArrowDown") item.nextElementSibling?.querySelector("input").focus();
  else if (event.key === "ArrowUp") item.previousElementSibling?.querySelector("input").focus();
}

const edited = latest(async () => {
  edit();
  const asked = lines(), found = await asking("layers", { data: byId("data").value, layers: asked }, ["data"]);
  if (found && asked.join("\n") === lines().join("\n")) showRows(found.rows);
  changed(true);
});

// ---- buttons --------------------------------------------------------------------------------------------------------

/** Begin anew with these settings; whether the server has. */
async function fresh() {
  say("");
  const told = await asking("reset", wanted(), FIELDS);
  if (!told) {
    byId("settings").open = true; // a phone has them folded up
    changed(true);
    return false;
  }
  about = told;
  settings();
  say("A new training, not begun yet.");
  return true;
}

async function start(steps) {
  if (dirty && ["ready", "failed"].includes(run?.status) && !(await fresh())) return;
  say("");
  await asking("start", { steps });
}
byId("go").onclick = () => (run?.status === "running" ? asking("pause") : start(0));
byId("one").onclick = () => start(1);
byId("reset").onclick = fresh;
byId("image").onchange = () => observe(byId("image").valueAsNumber);

// ---- news -----------------------------------------------------------------------------------------------------------

const TITLES = { ready: "ready", running: "training", paused: "paused", done: "done", failed: "failed", ended: "ended" };

export function news(told) {
  const before = run;
  run = told;
  if (told.fresh) {
    [points, judgements] = [[], []];
    if (before && about) begin(); // another tab may have begun anew
  }
  points = longer(points, told.points);
  judgements = longer(judgements, told.judgements);
  const different = Boolean(told.look); // a look comes once
  look = told.look ?? look;
  write(byId("go"), { running: "Pause", ready: "Start" }[told.status] ?? "Go on");
  byId("go").disabled = told.status === "failed" && !dirty;
  byId("one").disabled = ["running", "failed"].includes(told.status);
  if (still("lr")) slider("lr", told.lr);
  if (still("decay")) slider("decay", told.weight_decay);
  byId("speed").value = told.speed;
  if (told.status !== "failed") mended("training");
  else if (before?.status !== "failed") say(`${told.message}. After a change, press Reset.`, "training");
  if (visible()) paint(different);
  speak();
}

export function repaint() { if (run && visible()) { settled = ""; paint(true); } }
export const shown = repaint;

function speak() {
  // A screen reader hears how it goes when the training stops, and is else left in peace.
  const last = judgements.at(-1), now = `${run.status} ${run.step}`;
  if (now !== settled && ["paused", "done"].includes(run.status) && !trouble)
    say(`It is ${TITLES[run.status]} after ${run.step} step${run.step === 1 ? "" : "s"}${last ? `, ${percent(last[2])} of the validation images right` : ""}.`);
  settled = now;
}

function paint(different) {
  const [last, judged] = [points.at(-1), judgements.at(-1)];
  const told = {
    state: TITLES[run.status], step: run.step.toLocaleString("en"), epoch: run.epoch, "images / s": Math.round(run.rate).toLocaleString("en"),
    loss: last ? brief(last[1], 3) : "–", "right, training": last ? percent(last[2]) : "–", "right, validation": judged ? percent(judged[2]) : "–",
  };
  const list = byId("numbers");
  if (!list.children.length) list.append(...Object.keys(told).map((name) => make("div", {}, make("dt", {}, name), make("dd"))));
  Object.values(told).forEach((value, i) => { write(list.children[i].lastChild, value); });
  for (const [id, at] of [["loss", 1], ["accuracy", 2]]) inSight(byId(id), () => drawCurve(byId(id), points, judgements, at, at === 2));
  if (different && look) paintLook();
}

let imageOf = "";
async function paintLook() {
  if (!about) return;
  const names = about.set.names;
  if (look.error) say(look.error, "maps");
  else mended("maps");
  if (document.activeElement !== byId("image") && !byId("image").matches("[aria-invalid=true]")) byId("image").value = look.image;
  const key = `${about.settings.data} ${look.image}`;
  if (imageOf !== key) {
    imageOf = key;
    const [answer] = await tried(ask("pictures", { images: [look.image] }));
    if (answer) drawImage(byId("observed"), answer.pixels);
  }
  if (look.scores) {
    const best = look.scores.indexOf(Math.max(...look.scores));
    write(byId("verdict"), `It is ${names[look.truth]}; the network says ${names[best]} (${percent(look.scores[best])}).`);
    showLayers(byId("maps"), look.layers);
  }
  if (look.filters) showLayers(byId("filters"), look.filters, { tile: 32 });
  if (look.gradients) inSight(byId("gradients"), gradients);
  if (look.judged) inSight(byId("confusion"), () => confusion(look.judged, about.set.names));
}

function gradients() {
  const table = byId("gradients");
  if (table.rows.length !== look.gradients.length + 1) {
    table.querySelectorAll("thead, tbody").forEach((part) => part.remove());
    const head = ["parameter", "its length", "gradient's"].map((text) => make("th", { scope: "col" }, text));
    const body = look.gradients.map((row) => make("tr", {}, make("th", { scope: "row" }, row.name), make("td"), make("td")));
    table.append(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
  }
  look.gradients.forEach((row, i) => {
    const cells = table.rows[i + 1].cells;
    [row.name, brief(row.data), brief(row.grad)].forEach((text, k) => write(cells[k], text));
  });
  const texts = look.dead.map((row) => `${row.place}: ${row.dead} of ${row.of}`);
  write(byId("dead"), texts.length ? `Relus that are 0 for all of 64 images: layer ${texts.join(", layer ")}.` : "There are no Relus.");
}

let confusionOf = "";
function confusion(judged, names) {
  const key = JSON.stringify(judged);
  if (confusionOf === key) return;
  confusionOf = key;
  const table = byId("confusion"), K = names.length;
  if (table.dataset.names !== names.join("|")) {
    table.dataset.names = names.join("|");
    table.querySelectorAll("thead, tbody").forEach((part) => part.remove());
    const head = make("tr", {}, make("td"), ...names.map((name) => make("th", { scope: "col", title: name }, name)));
    const body = names.map((name, t) => make("tr", {}, make("th", { scope: "row", title: name }, name),
      ...names.map((_, g) => make("td", {}, make("button", { type: "button", click: () => showCell(t, g) })))));
    table.append(make("thead", {}, head), make("tbody", {}, ...body));
  }
  judged.counts.forEach((counts, t) => {
    const total = Math.max(1, counts.reduce((a, b) => a + b));
    for (let g = 0; g < K; g++) {
      const cell = table.rows[t + 1].cells[g + 1], count = counts[g];
      cell.className = t === g ? "right" : count ? "wrong" : "";
      cell.style.setProperty("--share", Math.min(70, 25 + (300 * count) / total));
      write(cell.firstChild, count || "");
      cell.firstChild.setAttribute("aria-label", `${names[t]} taken for ${names[g]}: ${count}`);
    }
  });
  worst(judged.worst, names);
}

async function showCell(truth, guess) {
  const names = about.set.names, answer = await asking("pictures", { truth, guess });
  if (!answer) return;
  const box = make("div", { class: "thumbs" });
  thumbs(box, answer, names, observe);
  const count = answer.images.length < answer.of ? `${answer.images.length} of ${answer.of}` : answer.of;
  byId("cell").replaceChildren(make("h3", {}, `${names[truth]}, taken for ${names[guess]}: ${count}`), box);
}

function observe(image) {
  if (Number.isFinite(image)) byId("image").value = image;
  asking("observe", { image }, ["image"]);
}

const worst = latest(async (mistakes, names) => {
  if (!mistakes.length) { byId("worst").replaceChildren("There are none."); return; }
  const [answer] = await tried(ask("pictures", { images: mistakes.map((each) => each.image) }));
  if (!answer) return;
  answer.guess = mistakes.map((each) => each.guess);
  thumbs(byId("worst"), answer, names, observe);
});
