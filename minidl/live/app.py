"""The page's server: static files, one function a request, and a websocket on which a training is seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from minidl.live.api import FILES, FUNCTIONS
from minidl.live.desk import Desk
from minidl.live.guard import Guard

PAGE = Path(__file__).parent / "page"
TURN = 0.2
"""Seconds between two messages to one page, whose drawing takes time of the processor, too."""
PAGES = 16
"""So many tabs may look on."""


class Answer(JSONResponse):
    """JSON of ASCII alone: a text from outside may hold what no encoding has."""

    def render(self, content: Any) -> bytes:
        """The bytes."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def make_app(desk: Desk, token: str, port: int) -> Guard:
    """The guarded application."""

    async def function(request: Request) -> Answer:
        name = request.path_params["name"]
        try:
            if name in FILES:
                asked = dict(request.query_params)
                answer = await run_in_threadpool(FILES[name], desk, await request.body(), asked)
            elif name in FUNCTIONS:
                asked = json.loads(await request.body() or b"{}")
                if not isinstance(asked, dict):
                    raise ValueError("a request must be a JSON object")
                answer = await run_in_threadpool(FUNCTIONS[name], desk, asked)
            else:
                return Answer({"error": f"there is no {name!r:.40} here"}, 404)
        except (ValueError, TypeError, LookupError, OSError, ImportError, ArithmeticError, RecursionError) as error:
            return Answer({"error": " ".join(str(error).split())[:1000] or type(error).__name__}, 400)
        except MemoryError:
            return Answer({"error": "there is not enough memory for that"}, 400)
        return Answer(answer)

    async def watch(socket: WebSocket) -> None:
        if len(desk.watching) >= PAGES:
            await socket.close(1013)
            return
        await socket.accept()
        desk.watched(socket, True)
        sending = asyncio.create_task(send_news(desk, socket))
        try:
            while True:  # a page says nothing; what ends is the connection
                await socket.receive_text()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            desk.watched(socket, False)
            sending.cancel()

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(desk.close)

    routes = [
        Route("/api/{name}", function, methods=["POST"]),
        WebSocketRoute("/watch", watch),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    return Guard(Starlette(routes=routes, lifespan=life), token, port)


async def send_news(desk: Desk, socket: WebSocket) -> None:
    """Tell a page what is new, at most every `TURN` seconds, and never more than it takes."""
    run: Any = None
    version, seen = -1, (-1, -1)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            now = desk.current or await run_in_threadpool(lambda: desk.run)
            if now is not run:
                run, version, seen = now, -1, (-1, -1)
            if run.version != version:
                version = run.version
                last = run.seen()  # before the report, which may have one more: the page takes none twice
                text, seen = run.report(seen), last
                await socket.send_text(text)
            await asyncio.sleep(TURN)
