"""The floor: a frame is a `socket.send` for each subscriber, and nothing else.

`python -m tests.bench.peers.floor` serves it on a free port and prints the URL; with `--c` it
compiles and becomes the same in C. What a client says is not looked at: a GET makes it a
subscriber, PUBLISH and a line feed a publisher, of bytes that each come after their length.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import transport

COMPILER = shutil.which("cc")


def serve() -> None:
    """Run until interrupted."""
    websocket, stream = transport.opening("websocket"), transport.opening("sse")
    subscribers: dict[int, socket.socket] = {}
    others: dict[int, socket.socket] = {}
    publishers: dict[int, bytes] = {}
    epoll = select.epoll()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    epoll.register(listener, select.EPOLLIN)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sock, _ = listener.accept()
                        sock.setblocking(False)
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        others[sock.fileno()] = sock
                        epoll.register(sock, select.EPOLLIN)
                continue
            sock = subscribers.get(fd) or others[fd]
            try:
                data = sock.recv(65536)
            except OSError:
                data = b""
            if not data:
                epoll.unregister(fd)
                for known in (subscribers, others, publishers):
                    known.pop(fd, None)
                sock.close()
            elif fd in publishers:
                publishers[fd] = _publish(publishers[fd] + data, subscribers)
            elif data.startswith(b"GET "):
                subscribers[fd] = others.pop(fd)
                sock.send(websocket if b"Upgrade:" in data else stream)
            elif data.startswith(b"PUBLISH\n"):
                publishers[fd] = _publish(data[8:], subscribers)


def _publish(data: bytes, subscribers: dict[int, socket.socket]) -> bytes:
    """Send what is whole to everyone, and give back the rest."""
    while len(data) >= 4 and len(data) >= (end := 4 + int.from_bytes(data[:4], "big")):
        frame = data[4:end]
        for sock in subscribers.values():
            with contextlib.suppress(OSError):
                sock.send(frame)
        data = data[end:]
    return data


def become_c() -> None:
    """Compile the same in C, and run that in place of this process. Raises OSError."""
    assert COMPILER is not None
    source = Path(__file__).with_suffix(".c")
    program = Path(tempfile.mkdtemp()) / "floor"
    subprocess.run([COMPILER, "-O2", "-o", str(program), str(source)], check=True)
    heads = [transport.opening(name).decode() for name in ("websocket", "sse")]
    os.execv(program, [str(program), *heads])  # noqa: S606 - it was compiled just now


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        become_c() if "--c" in sys.argv else serve()
