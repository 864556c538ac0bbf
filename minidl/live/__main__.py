"""`python -m minidl.live`: start the server on this machine and open the page in a browser."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ADDRESS = "127.0.0.1"
PORT = 8765


def listen(port: int) -> socket.socket:
    """A socket that listens at this port of this machine; 0 takes a free one. Raises OSError."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((ADDRESS, port))
        found.listen(128)
    except OSError:
        found.close()
        raise
    return found


def server_config(app: Any) -> Any:
    """How uvicorn runs the page's application; reports are not compressed, as they go nowhere but to this machine."""
    import uvicorn

    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=2**16,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
        server_header=False,
        limit_concurrency=200,
    )


def show(address: str) -> None:
    """Open the page in a browser, or say that there is none."""
    opened = False
    with contextlib.suppress(Exception):  # a browser that cannot be started is no reason to end
        opened = webbrowser.open(address)
    if not opened:
        print("no browser could be opened: open the address above in one on this machine", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until Ctrl-C; the exit code: 1 where it cannot run, with one line that says why."""
    parser = argparse.ArgumentParser(
        prog="python -m minidl.live", description="A page on which one sees a network learn."
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="of this machine, 0 for any free one (default %(default)s)"
    )
    parser.add_argument("--data", metavar="FOLDER", help="with the files of MNIST, Fashion-MNIST or CIFAR-10")
    parser.add_argument("--folder", metavar="FOLDER", help="with pictures of your own, a sub-folder a class")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    args = parser.parse_args(argv)
    if not 0 <= args.port <= 65535:
        parser.error(f"argument --port: must be from 0 to 65535, got {args.port}")
    for option, folder in (("--data", args.data), ("--folder", args.folder)):
        if folder is not None and not Path(folder).is_dir():
            print(f"{option}: there is no folder {folder}", file=sys.stderr)
            return 1
    try:
        import uvicorn
        import websockets  # noqa: F401 - uvicorn speaks through it

        from minidl.live.app import make_app
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("uvicorn", "starlette", "websockets", "anyio"):
            raise
        print(f"minidl.live needs {missing}: pip install 'minidl[live]'", file=sys.stderr)
        return 1
    try:
        listening = listen(args.port)
    except OSError as error:
        why = error.strerror or str(error)
        print(f"port {args.port} cannot be used ({why}): choose another one by --port, 0 for any", file=sys.stderr)
        return 1
    from minidl.live.desk import Desk

    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    address = f"http://{ADDRESS}:{port}/{token}/"
    print(f"{address}\nCtrl-C ends it.", flush=True)
    if not args.no_browser:
        threading.Thread(target=show, args=(address,), daemon=True).start()
    config = server_config(make_app(Desk(args.data, args.folder), token, port))
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
