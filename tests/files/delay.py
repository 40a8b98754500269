"""A server that is far away: the system's own means for that need a kernel that has them."""
import contextlib
import socket
import threading
import time


class Delay:
    """A relay by which each byte comes later by delay_s, whatever their number."""

    PIECE = 1 << 18

    def __init__(self, port, delay_s):
        self.port = port
        self.delay_s = delay_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.port))
            for one, other in ((client, server), (server, client)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                under_way, ready = [], threading.Condition()
                threading.Thread(target=self.read, args=[one, under_way, ready], daemon=True).start()
                threading.Thread(target=self.write, args=[other, under_way, ready], daemon=True).start()

    def read(self, sock, under_way, ready):
        data = b"x"
        while data:
            with contextlib.suppress(OSError):
                data = sock.recv(self.PIECE)
            with ready:
                under_way.append((time.monotonic() + self.delay_s, data))
                ready.notify()

    @staticmethod
    def write(sock, under_way, ready):
        data = b"x"
        while data:
            with ready:
                ready.wait_for(lambda: under_way)
                at, data = under_way.pop(0)
            time.sleep(max(0, at - time.monotonic()))
            with contextlib.suppress(OSError):
                if data:
                    sock.sendall(data)
                else:
                    sock.shutdown(socket.SHUT_WR)
