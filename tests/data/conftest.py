"""The web server of the download tests, one for each test."""

import threading

import pytest
from data_server import Handler, Server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.seen, server.running, server.release = {}, [], True, threading.Event()
    server.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.running = False
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()
