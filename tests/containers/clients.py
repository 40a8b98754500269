"""Many clients of afard at once, in one thread: clients.py HOST PORT CERTS CLIENTS COMMANDS.
All connect; then each runs a command so often, one after another, waiting for its turn. Fails unless every
single one exits with 0 and has written all that it should."""
import json
import selectors
import socket
import ssl
import struct
import sys

TIMEOUT_S = 120
OUTPUT_BYTES = 300000
WORDS = ["head", "-c", str(OUTPUT_BYTES), "/dev/zero"]


def frame(payload=b"", **header):
    text = json.dumps(dict(header, size=len(payload))).encode()
    return struct.pack("<I", len(text)) + text + payload


class Client:
    def __init__(self, address, context, commands):
        plain = socket.create_connection(address, timeout=TIMEOUT_S)
        self.connection = context.wrap_socket(plain, server_hostname="busy")
        self.data = bytearray()
        self.left = commands
        self.id = 0
        self.got = 0

    def ask(self):
        self.id += 1
        self.got = 0
        words = "".join(word + "\0" for word in WORDS).encode()
        self.connection.sendall(frame(words, type="exec", v=1, id=self.id, argc=len(WORDS), start_within_ms=100000))

    def read(self):
        """True once its last command has ended."""
        while True:
            self.data += (chunk := self.connection.recv(65536))
            assert chunk, "the server has closed the connection"
            if not self.connection.pending():
                break
        while len(self.data) >= 4 and len(self.data) >= (start := 4 + struct.unpack_from("<I", self.data)[0]):
            head = json.loads(self.data[4:start].decode())
            if len(self.data) < start + head.get("size", 0):
                break
            del self.data[:start + head.get("size", 0)]
            if head["type"] == "stdout":
                self.got += head["size"]
                self.connection.sendall(frame(type="ack", id=self.id, next=head["seq"] + 1))
            elif head["type"] == "ping":
                self.connection.sendall(frame(type="pong", id=head["id"]))
            elif head["type"] in ("exit", "error"):
                assert head.get("code") == 0 and self.got == OUTPUT_BYTES, (head, self.got)
                self.connection.sendall(frame(type="ack", id=self.id, next=head["seq"] + 1))
                self.left -= 1
                if self.left == 0:
                    return True
                self.ask()
        return False


def main(host, port, certs, count, commands):
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    context.load_cert_chain(f"{certs}/client.pem", f"{certs}/client-key.pem")
    context.set_alpn_protocols(["afar/1"])
    clients = [Client((host, int(port)), context, int(commands)) for _ in range(int(count))]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.connection, selectors.EVENT_READ, client)
        client.ask()
    busy = len(clients)
    while busy > 0:
        ready = selector.select(TIMEOUT_S)
        assert ready, f"{busy} clients wait in vain"
        for key, _ in ready:
            if key.data.read():
                selector.unregister(key.data.connection)
                busy -= 1
    print(f"{len(clients)} connections, {len(clients) * int(commands)} commands")


if __name__ == "__main__":
    main(*sys.argv[1:])
