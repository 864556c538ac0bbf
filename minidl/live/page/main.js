// The page: tabs, theme, and the news of the training, which every panel may want.
import { follow } from "./api.js";
import { byId, forgetColours } from "./pictures.js";
import * as train from "./train.js";
import * as draw from "./draw.js";
import * as inside from "./inside.js";
import * as step from "./step.js";
import * as model from "./model.js";

const panels = { train, draw, inside, step, model };
const tabs = [...byId("tabs").children];
let shown = "train";

function show(name, focus = false) {
  if (!(name in panels)) name = "train";
  shown = name;
  for (const tab of tabs) {
    const here = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", here);
    tab.tabIndex = here ? 0 : -1;
    if (here && focus) tab.focus();
    byId(tab.id.slice(4)).hidden = !here;
  }
  history.replaceState(null, "", `#${name}`);
  panels[name].shown?.();
}

tabs.forEach((tab, i) => {
  tab.onclick = () => show(tab.id.slice(4));
  tab.onkeydown = (event) => {
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(tabs[(to + tabs.length) % tabs.length].id.slice(4), true);
  };
});

// ---- theme: that of the system, until the button says another ---------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", `Change to the ${name === "dark" ? "light" : "dark"} theme`);
  forgetColours();
  for (const panel of Object.values(panels)) panel.repaint?.();
}
const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
byId("theme").onclick = () => {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", name); } catch { /* a browser that keeps nothing */ }
  theme(name);
};
dark.onchange = () => { if (!chosen()) theme(dark.matches ? "dark" : "light"); };
theme(chosen() ?? (dark.matches ? "dark" : "light"));

// ---- the training -----------------------------------------------------------------------------------------------------

let known = false;
follow((news) => {
  for (const panel of Object.values(panels)) panel.news?.(news);
}, (there) => {
  byId("link").hidden = there;
  byId("link").textContent = there ? "" : "The server has ended, or cannot be reached. Start python -m minidl.live again, and open the address that it prints.";
  if (there && known) train.begin();
  known = true;
});

addEventListener("resize", () => panels[shown].repaint?.());
for (const panel of Object.values(panels)) panel.begin?.().catch?.((error) => { byId("said").textContent = error.message; });
show(location.hash.slice(1));
