// Talking to the server on this machine: addresses are relative, so that each carries the page's token.

async function answered(response) {
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error ?? `the server answered ${response.status}`);
  return answer;
}

/** Call a function of the server with an object; an Error has its line of text. */
export async function ask(name, body = {}) {
  return answered(await fetch(`api/${name}`, { method: "POST", body: JSON.stringify(body) }));
}

// As the server has them (guard.py): a larger upload would only end in a broken connection.
const MOST = { open: 64 * 2 ** 20, picture: 16 * 2 ** 20 };

/** Give the server a file; what else it is to know stands in the address. */
export async function send(name, file, told = {}) {
  if (file.size > MOST[name]) throw new Error(`A file here may have ${MOST[name] / 2 ** 20} MB at most.`);
  return answered(await fetch(`api/${name}?${new URLSearchParams(told)}`, { method: "POST", body: file }));
}

/** Hear of the training: `onNews` gets each report, `onLink` whether the server is there. It comes back by itself. */
export function watch(onNews, onLink) {
  let socket = null;
  function open() {
    if (socket || document.hidden) return;
    const address = new URL("watch", location.href);
    address.protocol = "ws:";
    const mine = (socket = new WebSocket(address));
    mine.onopen = () => onLink(true);
    mine.onmessage = (event) => onNews(JSON.parse(event.data));
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
