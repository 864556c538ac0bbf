"""A server on this machine for the tests of the page, in this process, and what speaks to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

import uvicorn

from minidl.live.__main__ import listen
from minidl.live.app import make_app
from minidl.live.desk import Desk

TOKEN = "token-of-the-tests"


class Page:
    """What a browser would do: requests with the right host and origin, unless a test asks for others."""

    def __init__(self, port, desk, stop):
        self.port, self.desk, self.stop = port, desk, stop
        self.host = f"127.0.0.1:{port}"
        self.origin = f"http://{self.host}"
        self.address = f"{self.origin}/{TOKEN}/"

    def request(self, method, path, body=None, headers=None, token=TOKEN):
        """Status, headers and body of the answer. headers: None as a value leaves one out."""
        usual = {"Host": self.host, "Origin": self.origin} | (headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=100)
        try:
            connection.putrequest(method, f"/{token}{path}", skip_host=True)
            for name, value in usual.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in usual and "Transfer-Encoding" not in usual:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was there
                    connection.send(body)
            answer = connection.getresponse()
            try:
                content = answer.read()
            except ConnectionResetError:
                content = b""  # refused, and closed before what was sent had been read
            return answer.status, dict(answer.getheaders()), content
        finally:
            connection.close()

    def ask(self, name, asked=None, status=200):
        """The answer of a function of the page."""
        found, _, body = self.request("POST", f"/api/{name}", json.dumps(asked or {}).encode())
        assert found == status, body
        return json.loads(body)

    def refused(self, name, asked):
        """The line of a function that refuses what it is asked."""
        return self.ask(name, asked, 400)["error"]

    def until(self, condition, seconds=100):
        """Wait until the training is as the condition says."""
        end = time.monotonic() + seconds
        while not condition(self.desk.run):
            assert time.monotonic() < end, (self.desk.run.status, self.desk.run.steps)
            time.sleep(0.01)
        return self.desk.run


@pytest.fixture
def page():
    """A running server with a desk of its own."""
    listening = listen(0)
    port = listening.getsockname()[1]
    desk = Desk()
    config = uvicorn.Config(make_app(desk, TOKEN, port), log_level="error", ws="websockets-sansio", ws_max_size=2**16)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    end = time.monotonic() + 100
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)

    def stop():
        server.should_exit = True
        thread.join(100)
        assert not thread.is_alive()

    yield Page(port, desk, stop)
    stop()
    assert not any(each.name == "minidl.live training" for each in threading.enumerate())
