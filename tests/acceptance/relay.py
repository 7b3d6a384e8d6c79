"""A relay between a client and whichever server is the primary now, as a failover would move it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests import valkey


class Relay:
    """Listens on a port of its own and passes bytes on to a target that can be changed."""

    def __init__(self, target: int) -> None:
        self.port = valkey.free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._target = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._listen, daemon=True).start()

    def switch(self, target: int) -> None:
        """Send all to another server from now on, and cut what goes to the one before."""
        with self._lock:
            self._target = target
            cut, self._open = self._open, set()
        for each in cut:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Pass nothing on, and say nothing of it, as a network does that is cut."""
        self._flows.clear()

    def go_on(self) -> None:
        """Pass on what was held, and what comes."""
        self._flows.set()

    def close(self) -> None:
        """Take no more connections, and cut those there are."""
        self._listener.close()
        self.switch(0)
        self._flows.set()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=2)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                self._flows.wait()
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        with self._lock:
            self._open -= {one, other}
