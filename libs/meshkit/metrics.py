"""Prometheus metrics of every server and the small HTTP port that serves them."""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app

HANDLED = Counter("grpc_server_handled_total", "Calls that ended.", ["method", "code"])
SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Time from the first byte of a call to its end.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
OPEN = Gauge("grpc_server_open_calls", "Calls under way.", ["method"])

_REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

Route = Callable[[], tuple[str, bytes]]
"""Answers one path: the content type and the body."""


class HttpPort:
    """``/metrics``, ``/healthz`` and a service's own read-only routes, on threads of their own."""

    def __init__(self, listen: str, routes: Mapping[str, Route]) -> None:
        host, _, port = listen.rpartition(":")
        self._routes = {"/healthz": lambda: ("text/plain", b"ok\n"), **routes}
        self._metrics = make_wsgi_app()
        self._server = make_server(
            host, int(port), self._answer, server_class=_Server, handler_class=_QuietHandler
        )
        self.address = f"{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)

    def __enter__(self) -> "HttpPort":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        route = self._routes.get(path)
        if route is None:
            start("404 Not Found", [("content-type", "text/plain")])
            return [b"not found\n"]
        content_type, body = route()
        start("200 OK", [("content-type", content_type), ("content-length", str(len(body)))])
        return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 32

    def server_bind(self) -> None:
        # WSGIServer asks DNS for the host's full name here, which can take seconds; nobody reads
        # it.
        self.socket.setsockopt(*_REUSE)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = (
            str(self.server_address[0]),
            int(self.server_address[1]),
        )
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # seconds: a client that sends nothing holds a thread no longer

    def log_message(self, *_: object) -> None:
        """Say nothing: probes every few seconds are no news."""
