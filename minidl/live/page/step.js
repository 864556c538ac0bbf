// One step: forward, loss, backward, update, one after the other, each as picture and number.
import { ask, tried } from "./api.js";
import { brief, byId, drawImage, fault, make, numberTable, showLayers, sizes } from "./pictures.js";

let told = null, stage = -1;
const NAMES = ["Forward", "Loss", "Backward", "Update"];

async function asking(name, body) {
  const [answer, failed] = await tried(ask(name, body)), { images = "", lr = "" } = failed?.fields ?? {};
  fault("st-images", images);
  fault("st-lr", lr);
  byId("st-error").textContent = failed && !images && !lr ? failed.message : "";
  return answer;
}

const rate = () => byId("st-lr").valueAsNumber;
const images = () => byId("st-images").value.split(/[\s,]+/).filter(Boolean).map((text) => (Number.isNaN(Number(text)) ? text : Number(text)));

async function take(next) {
  const answer = await asking("slow", next ? { next: true, lr: rate() } : { images: images(), lr: rate() });
  if (!answer) return;
  [told, stage] = [answer, -1];
  byId("st-report").replaceChildren();
  advance();
}

function advance() {
  stage += 1;
  [...byId("st-stages").children].forEach((item, i) => (i === stage ? item.setAttribute("aria-current", "step") : item.removeAttribute("aria-current")));
  byId("st-next").textContent = stage === 3 ? "Next step" : NAMES[stage + 1];
  paint();
}

byId("st-new").onclick = () => take(false);
byId("st-next").onclick = () => (!told || stage === 3 ? take(Boolean(told)) : advance());
byId("st-check").onclick = async () => {
  if (!told) await take(false);
  byId("st-report").replaceChildren("Each number is moved a little up and down …");
  const found = await asking("differences");
  if (!found) { byId("st-report").replaceChildren(); return; }
  const head = ["tensor", "shape", "compared", "worst at", "backward says", "differences say", "relative error", ""];
  const rows = found.rows.map((row) => make("tr", {}, make("th", { scope: "row" }, row.name), make("td", {}, sizes(row.shape)), make("td", {}, row.checked),
    make("td", {}, row.where.join(", ")), make("td", {}, brief(row.analytic, 7)), make("td", {}, brief(row.numeric, 7)), make("td", {}, brief(row.error, 3)),
    make("td", { class: row.passed ? "passed" : "failed" }, row.passed ? "equal" : "not equal")));
  byId("st-report").replaceChildren(
    make("h2", {}, "Against central differences"),
    make("p", {}, `minidl.gradcheck moves numbers by a little and looks how much the result changes, in float64: `,
      make("b", { class: found.passed ? "passed" : "failed" }, found.passed ? "all gradients are right" : "some gradients are wrong"), ` (relative errors up to ${brief(found.tolerance)} pass).`),
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))), make("tbody", {}, ...rows))));
};

const WORDS = [
  () => `Forward: the images go through layer after layer. Shown is the first of ${told.truth.length}; every layer keeps its input for the way back.`,
  () => `Loss: the scores become probabilities, and the loss is the mean of -log(probability of the true class): ${brief(told.loss)}.`,
  () => "Backward: the loss is differentiated layer by layer, from the last to the first. Each picture shows how the loss would change if that number grew: orange, it would grow; blue, it would shrink.",
  () => `Update: every number becomes itself minus ${brief(told.lr)} times its gradient. On the same images the loss goes from ${brief(told.loss)} to ${brief(told.after)}.`,
];

function paint() {
  byId("st-words").textContent = `Step ${told.step}. ${WORDS[stage]()}`;
  const show = byId("st-show");
  if (stage === 0) {
    const box = make("div");
    show.replaceChildren(pictures(), box);
    showLayers(box, told.layers.map((layer) => ({ ...layer, kind: layer.text.split("(")[0] })));
  } else if (stage === 1) {
    const wanted = told.names.map((_, i) => (i === told.truth[0] ? 1 : 0)), table = (title, row) => make("div", { class: "scroll" }, numberTable(title, [row], { marked: [0, told.truth[0]] }));
    show.replaceChildren(pictures(), make("p", {}, `The first image is ${told.names[told.truth[0]]}.`), table("scores", told.scores), table("probabilities", told.probabilities),
      table("wanted", wanted), table(`gradient of the scores: (probability - wanted) / ${told.truth.length} images`, told.dscores));
  } else if (stage === 2) {
    const rows = [...told.layers].reverse().map((layer) => {
      const [out, back] = [make("div"), make("div")];
      return { row: make("div", { class: "both" }, out, back), out, back, layer };
    });
    const first = make("div");
    show.replaceChildren(...rows.map((each) => each.row), first);
    for (const { out, back, layer } of rows) {
      showLayers(out, [{ ...layer, kind: layer.text.split("(")[0] }], { tile: 42 });
      showLayers(back, [{ place: `gradient behind ${layer.place}`, maps: layer.gradient }], { tile: 42 });
    }
    showLayers(first, [{ place: "gradient of the image itself", maps: told.input }]);
  } else {
    const change = make("p", {}, make("b", { class: told.after < told.loss ? "passed" : "failed" },
      told.after < told.loss ? "The loss has become smaller." : "The loss has become larger: the rate is too high for this place."));
    show.replaceChildren(change, ...told.parameters.map((p) => make("div", { class: "scroll" }, make("table", {},
      make("caption", {}, `${p.name}, ${sizes(p.shape)}; the gradient's length is ${brief(p.norm)}. The numbers that change most:`),
      ...[["at", (e) => e.where.join(", ")], ["before", (e) => brief(e.before)], [`− ${brief(told.lr)} ×`, (e) => brief(e.grad)], ["= after", (e) => brief(e.after)]]
        .map(([title, cell]) => make("tr", {}, make("th", { scope: "row" }, title), ...p.entries.map((entry) => make("td", {}, cell(entry)))))))));
  }
}

function pictures() {
  return make("div", { class: "thumbs" }, ...told.truth.map((truth, i) => {
    const canvas = make("canvas");
    drawImage(canvas, told.pixels, i);
    return make("div", { class: "thumb" }, canvas, told.names[truth]);
  }));
}

export function shown() { if (told) paint(); else take(false); }
export function repaint() { if (told && !byId("step").hidden) paint(); }
// Another training has another network: its step begins anew.
export function news(report) {
  if (report.fresh && told) { told = null; byId("st-report").replaceChildren(); if (!byId("step").hidden) take(false); }
}
