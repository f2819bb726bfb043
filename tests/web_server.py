"""A web server for tests: answers as told, and misbehaves as told. It runs in threads, so worker processes reach it too."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class Reply:
    """One answer. `cut` sends only so many bytes of the body and closes; `length` False leaves Content-Length out."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    length: bool = True
    wait_for: threading.Event | None = None


def as_json(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status)


NOT_FOUND = as_json({"message": "", "error": "page not found"}, 404)


class WebServer:
    """Answers by path (with its query); a list is worked off one by one, its last reply stays. Others get `otherwise`."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.otherwise = NOT_FOUND
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.posted: list[tuple[str, bytes]] = []
        self._taken: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._reply_to, self.posted))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def on(self, path: str, *replies: Reply) -> None:
        """Answer this path with these, one after the other."""
        with self._lock:
            self.replies[path] = list(replies)
            self._taken[path] = 0

    def reset(self) -> None:
        with self._lock:
            self.replies.clear()
            self.otherwise = NOT_FOUND
            self.requests.clear()
            self.posted.clear()
            self._taken.clear()

    def count(self, path: str) -> int:
        """How often this path was asked for."""
        return sum(1 for asked, _ in self.requests if asked == path)

    def _reply_to(self, path: str, headers: dict[str, str]) -> Reply:
        with self._lock:
            self.requests.append((path, headers))
            replies = self.replies.get(path)
            if not replies:
                return self.otherwise
            reply = replies[min(self._taken[path], len(replies) - 1)]
            self._taken[path] += 1
            return reply

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _handler(
    reply_to: Callable[[str, dict[str, str]], Reply], posted: list[tuple[str, bytes]]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            reply = reply_to(self.path, dict(self.headers.items()))
            if reply.wait_for:
                reply.wait_for.wait(30)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            if reply.length:
                self.send_header("Content-Length", str(len(reply.body)))
            else:
                self.send_header("Connection", "close")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            with suppress(ConnectionError):  # who asked may have gone while we waited
                self.end_headers()
                self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
            if reply.cut is not None or not reply.length:
                self.close_connection = True

        def do_POST(self) -> None:
            posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has in the standard library
            """Quiet."""

    return Handler
