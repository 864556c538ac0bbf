"""Who may talk to the page's server: this machine, with the token, from the page itself, in small portions."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

SMALL = 2**18
"""Bytes of a request."""
LARGE = {"/api/open": 2**26, "/api/picture": 2**24}
"""Bytes of those that bring a file."""

REFUSED = "This address is not the page's. Open the one that python -m minidl.live has printed."


class Guard:
    """An ASGI application around another one, which sees paths without the token and bodies that are complete.

    token: the first part of every path. port: of the server; `Host`, and `Origin` where there is one, must be this
    machine's at that port. What writes (anything but GET and HEAD) and websockets must have an `Origin`. Refused
    requests get 403, bodies that are too long 413, websockets are closed before they are accepted.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        self.app = app
        self.token = token.encode()
        self.hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self.origins = {b"http://" + host for host in self.hosts}
        sockets = " ".join(f"ws://{host.decode()}" for host in sorted(self.hosts))
        policy = {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self' data:",
            "connect-src": f"'self' {sockets}",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        headers = {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request or websocket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        send = self._with_headers(send)
        path = self._path(scope)
        if path is None:
            await refuse(scope, send, 403, REFUSED)
            return
        if scope["type"] == "http":
            limit = LARGE.get(path, SMALL)
            body = await whole(receive, dict(scope["headers"]).get(b"content-length", b"0"), limit)
            if body is None:
                await refuse(scope, send, 413, f"A request here may have {limit} bytes at most.")
                return
            receive = given(body, receive)
        await self.app({**scope, "path": path, "raw_path": path.encode(), "root_path": ""}, receive, send)

    def _path(self, scope: Message) -> str | None:
        """The path behind the token; None for a request that is not the page's."""
        names = [name for name, _ in scope["headers"]]
        headers = dict(scope["headers"])
        if any(names.count(name) > 1 for name in (b"host", b"origin", b"content-length")):
            return None
        token, slash, rest = scope["path"].encode()[1:].partition(b"/")
        writes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        origin = headers.get(b"origin")
        if not (hmac.compare_digest(token, self.token) and slash and headers.get(b"host") in self.hosts):
            return None
        if (origin is None and writes) or (origin is not None and origin not in self.origins):
            return None
        if headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
            return None
        return f"/{rest.decode()}"

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in self.headers}
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
                message = {**message, "headers": [*kept, *self.headers]}
            await send(message)

        return sending


async def refuse(scope: Message, send: Send, status: int, text: str) -> None:
    """Answer with a line of text; a websocket is closed, which the client sees as 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": text.encode() + b"\n"})


async def whole(receive: Receive, told: bytes, limit: int) -> bytes | None:
    """The body; None if it is, or says that it will be, longer than `limit` bytes."""
    if not told.isdigit() or int(told[:20]) > limit:
        return None
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > limit:
            return None
    return b"".join(parts)


def given(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that is there already, and then what the other one gives."""
    waiting = [body]

    async def giving() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return giving
