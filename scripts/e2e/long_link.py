"""A long link: a TCP proxy that hands on what it gets after a while, and loses nothing."""

from __future__ import annotations

import queue
import socket
import threading
import time

PIECE = 64 << 10


class LongLink:
    """To a port of this machine, `delay_s` long each way. Its threads end with the program."""

    def __init__(self, port, delay_s):
        self.to, self.delay_s = ("localhost", port), delay_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Joins each connection with one to the other end."""
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(self.to)
            self.carry(near, far)
            self.carry(far, near)

    def carry(self, source, sink):
        """One direction of a connection."""
        way = queue.Queue()
        sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.leave, args=(source, way), daemon=True).start()
        threading.Thread(target=self.arrive, args=(way, sink), daemon=True).start()

    def leave(self, source, way):
        """Notes when each piece is to arrive; the end is an empty one."""
        piece = True
        while piece:
            try:
                piece = source.recv(PIECE)
            except OSError:
                piece = b""
            way.put((time.monotonic() + self.delay_s, piece))

    def arrive(self, way, sink):
        """Hands pieces on when it is time."""
        piece = True
        while piece:
            due, piece = way.get()
            time.sleep(max(0, due - time.monotonic()))
            try:
                sink.sendall(piece) if piece else sink.shutdown(socket.SHUT_WR)
            except OSError:
                return
