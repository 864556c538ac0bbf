"""The page's server: static files, one function a request, and a websocket on which a training is seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import traceback
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
from minidl.live.run import NO_MEMORY, NOTHING

PAGE = Path(__file__).parent / "page"
TURN = 0.25
"""Seconds between two reports to one page, at least: drawing them takes time of the processor, too."""
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
                asked = json_object(await request.body() or b"{}")
                answer = await run_in_threadpool(FUNCTIONS[name], desk, asked)
            else:
                return Answer({"error": f"there is no {name!r:.40} here"}, 404)
        except Exception as error:
            return Answer({"error": words(error), "fields": getattr(error, "fields", {})}, 400)
        return Answer(answer)

    async def news(socket: WebSocket) -> None:
        if len(desk.viewers) >= PAGES:
            await socket.close(1013)
            return
        await socket.accept()
        desk.count_viewer(socket, True)
        drawn = asyncio.Event()
        sending = asyncio.create_task(send_news(desk, socket, drawn))
        try:
            while True:  # whatever a page says: it has drawn the last report
                await socket.receive_text()
                drawn.set()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            desk.count_viewer(socket, False)
            sending.cancel()

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(desk.close)

    routes = [
        Route("/api/{name}", function, methods=["POST"]),
        WebSocketRoute("/news", news),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    return Guard(Starlette(routes=routes, lifespan=life), token, port)


def json_object(text: bytes) -> dict[str, Any]:
    """The object in a request. Raises ValueError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError("a request must be a JSON object")
    return found


def words(error: Exception) -> str:
    """What a page shows of an error: the line that was written for people, or, of any other, that it is none."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        return " ".join(str(error).split())[:1000] or "the server cannot do that"
    traceback.print_exception(error)  # for whoever started the server
    return "the server has failed at that; where it was started it has printed why"


async def send_news(desk: Desk, socket: WebSocket, drawn: asyncio.Event) -> None:
    """Tell a page what is new, at most every `TURN` seconds, and not before it has drawn the last report."""
    run: Any = None
    version, seen = -1, NOTHING
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            now = desk.current or await run_in_threadpool(lambda: desk.run)
            if now is not run:
                run, version, seen = now, -1, NOTHING
            if run.version != version:
                version = run.version
                last = run.seen()  # before the report, which may have one more: the page takes none twice
                text, seen = run.report(seen), last
                drawn.clear()
                await socket.send_text(text)
                await drawn.wait()
            await asyncio.sleep(TURN)
