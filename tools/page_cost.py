"""What the page (`python -m minidl.live`) costs the training that it shows: time and processor time of a step.

    python tools/page_cost.py [--rounds 12] [--seconds 1.5] [--panel train]

A server in a process of its own trains without an end, and a Chromium stands by. In each round the Chromium shows the
page for some seconds and an empty one for as many; which comes first changes from round to round. For both are told:
the time of a step, the smallest of the rounds and their mean; the server's processor time for one, which depends less
on what else the machine does; and the share of a core that the browser takes, then that of the server beyond its
steps. Where others take the processors steps are rare and each seems to cost more: the shares still hold. Linux alone:
/proc tells of the browser. Needs the extra `live`, Playwright, and a Chromium that is found by its name or named by
CHROMIUM.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from driving import launched
from playwright.sync_api import sync_playwright

SETTLING = 1.0
"""Seconds between opening a page and measuring."""
PANELS = ("train", "draw", "inside", "step", "model")


def serve() -> None:
    """Train and show; each line of the input is answered by [steps, time, processor time]."""
    import uvicorn

    from minidl.live.__main__ import listen, server_config
    from minidl.live.app import make_app
    from minidl.live.choices import Settings
    from minidl.live.desk import Desk

    listening, desk, token = listen(0), Desk(), "measured"
    port = listening.getsockname()[1]
    server = uvicorn.Server(server_config(make_app(desk, token, port)))
    threading.Thread(target=server.run, args=([listening],), daemon=True).start()
    desk.reset(Settings(epochs=1_000_000))
    desk.run.start()
    print(f"http://127.0.0.1:{port}/{token}/", flush=True)
    for _ in sys.stdin:
        print(json.dumps([desk.run.steps, time.perf_counter(), time.process_time()]), flush=True)
    desk.close()
    os._exit(0)


def read(server: subprocess.Popen[str]) -> list[float]:
    """Steps, time and processor time of the server."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    found: list[float] = json.loads(server.stdout.readline())
    return found


def below(root: int) -> float:
    """Processor seconds of a process and of all that it has started, as far as they live."""
    parents, times = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)], times[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    mine, fresh = {root}, True
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in mine} - mine
        mine |= fresh
    return sum(times.get(pid, 0) for pid in mine - {root}) / os.sysconf("SC_CLK_TCK")


def measured(server: subprocess.Popen[str], seconds: float) -> tuple[float, float, float]:
    """Milliseconds of a step, processor milliseconds of the server for one, share of a core of the browser."""
    browser, (steps, wall, own) = below(os.getpid()) - read(server)[2], read(server)
    time.sleep(seconds)
    steps_then, wall_then, own_then = read(server)
    browser_then = below(os.getpid()) - own_then
    made = steps_then - steps
    passed = wall_then - wall
    return 1e3 * passed / made, 1e3 * (own_then - own) / made, (browser_then - browser) / passed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="pairs of with and without (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement (default %(default)s)")
    parser.add_argument("--panel", choices=PANELS, default="train", help="that is shown (default %(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve()
        return
    command = [sys.executable, __file__, "--serve"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    found: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = launched(playwright)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            for turn in range(args.rounds):
                for shown in (turn % 2 == 0, turn % 2 == 1):
                    page.goto("about:blank")  # else another fragment alone would be no new page
                    if shown:
                        page.goto(f"{address}#{args.panel}", wait_until="commit", timeout=0)
                    time.sleep(SETTLING)
                    found[shown].append(measured(server, args.seconds))
            browser.close()
    finally:
        server.terminate()
        server.wait()
    tell(found)


def tell(found: dict[bool, list[tuple[float, float, float]]]) -> None:
    """The table."""
    rows: dict[str, list[Any]] = {}
    for shown, name in ((True, "with the page"), (False, "without")):
        walls, owns, shares = zip(*found[shown])
        count = len(walls)
        rows[name] = [min(walls), sum(walls) / count, min(owns), sum(owns) / count, sum(shares) / count]
    print(f"{'':16}{'ms a step: least':>18}{'mean':>9}{'server CPU: least':>19}{'mean':>9}{'browser, cores':>16}")
    for name, (least, mean, own, own_mean, share) in rows.items():
        print(f"{name:16}{least:18.3f}{mean:9.3f}{own:19.3f}{own_mean:9.3f}{share:16.3f}")
    ratios = [100 * (a / b - 1) for a, b in zip(rows["with the page"], rows["without"][:4])]
    walls, owns, _ = zip(*found[True])
    beyond = sum((own - rows["without"][2]) / wall for wall, own in zip(walls, owns)) / len(walls)
    print(f"{'more by, in %':16}{ratios[0]:18.1f}{ratios[1]:9.1f}{ratios[2]:19.1f}{ratios[3]:9.1f}")
    print(f"the server beyond its steps, with the page: {beyond:.3f} of a core")


if __name__ == "__main__":
    main()
