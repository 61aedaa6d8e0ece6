"""A local server that answers as servers do: everything, a part, something else, nothing."""

import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from perturb_jax.screen.datasets import CELLS, HDF5_START

CONTENT = HDF5_START + np.random.default_rng(0).bytes(700_000)
OTHER = HDF5_START + np.random.default_rng(1).bytes(700_000)
PAGE = b"<html><head><title>Sign in</title></head></html>"


def zipped(content: bytes = CONTENT, *names: str) -> bytes:
    """A zip archive of the kind that cell-gears distributes, or with these names in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or (f"norman/{CELLS}", "norman/splits/readme.txt", f"__MACOSX/norman/._{CELLS}"):
            archive.writestr(name, content if name.endswith(CELLS) and "._" not in name else "text")
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `content` at every address, in the way that `mode` says; remembers what was requested."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = zipped()
        self.mode: str | int = "whole"
        self.requested: list[tuple[str, str | None]] = []
        self.encodings: set[str | None] = set()
        self.done = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        mode, content, wanted = self.server.mode, self.server.content, self.headers.get("Range")
        self.server.requested.append((self.path, wanted))
        self.server.encodings.add(self.headers.get("Accept-Encoding"))
        start = 0
        if isinstance(mode, int):
            self.send_response(mode)
            content = PAGE
        elif wanted is None or mode == "no ranges":
            self.send_response(200)
        else:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start < len(content) else 416)
            if mode == "short range":
                content = content[: start + 1000]
            last = f"{start}-{len(content) - 1}" if start < len(content) else "*"
            if mode == "wrong range":
                last = f"0-{len(content) - 1}"
            self.send_header("Content-Range", f"bytes {last}/{len(self.server.content)}")
        body = content[start:]
        if mode != "unknown length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mode in ("cut", "stall") else body)
        if mode == "stall":
            self.wfile.flush()
            self.server.done.wait(600)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs as long as the context."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.done.set()
        server.shutdown()
        thread.join()
        server.server_close()
