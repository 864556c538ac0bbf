// Talking to the server on this machine: addresses are relative, so that each carries the page's token.

async function answered(address, body) {
  const response = await fetch(address, { method: "POST", body }).catch(() => null);
  if (!response) throw new Error("The server has ended, or cannot be reached.");
  const text = await response.text();
  if (response.status >= 500) throw new Error("The server has failed at that; where it was started it has printed why.");
  if (!(response.headers.get("content-type") ?? "").includes("json")) throw new Error(text.trim()); // a line of the guard
  const answer = JSON.parse(text);
  if (!response.ok) throw Object.assign(new Error(answer.error), { fields: answer.fields });
  return answer;
}

/** Call a function of the server with an object; an Error has its line of text, and in `fields` those of single fields. */
export async function ask(name, body = {}) {
  return answered(`api/${name}`, JSON.stringify(body));
}

/** [the answer, null] of what is asked, or [null, its Error]. */
export const tried = (asked) => asked.then((answer) => [answer, null], (error) => [null, error]);

// As the server has them (guard.py): a larger upload would only end in a broken connection.
const MOST = { open: 64 * 2 ** 20, picture: 16 * 2 ** 20 };

/** Give the server a file; what else it is to know stands in the address. */
export async function send(name, file, told = {}) {
  if (file.size > MOST[name]) throw new Error(`A file here may have ${MOST[name] / 2 ** 20} MB at most.`);
  return answered(`api/${name}?${new URLSearchParams(told)}`, file);
}

/** Follow the training: `onNews` gets each report, `onLink` whether the server is there. It comes back by itself. */
export function follow(onNews, onLink) {
  let socket = null;
  function open() {
    if (socket || document.hidden) return;
    const address = new URL("news", location.href);
    address.protocol = "ws:";
    const mine = (socket = new WebSocket(address));
    mine.onopen = () => onLink(true);
    // Drawn with the next frame, and only then asked for more: a page that cannot follow gets fewer reports.
    mine.onmessage = (event) => requestAnimationFrame(() => {
      if (socket !== mine) return;
      onNews(JSON.parse(event.data));
      if (mine.readyState === WebSocket.OPEN) mine.send("drawn");
    });
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = null;
      if (!document.hidden) {
        onLink(false);
        setTimeout(open, 1500);
      }
    };
  }
  // A page that nobody looks at costs the training nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      const old = socket;
      socket = null;
      old?.close();
    } else open();
  });
  open();
}

/** A function that runs the last of many calls at a time: while one is under way, only the newest waits. */
export function latest(work) {
  let busy = false, waiting = null;
  return async function run(...given) {
    if (busy) { waiting = given; return; }
    busy = true;
    try { await work(...given); } finally {
      busy = false;
      if (waiting) { const next = waiting; waiting = null; run(...next); }
    }
  };
}
