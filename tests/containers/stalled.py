"""Clients that let a command write and read nothing of it: stalled.py HOST PORT CERTS CLIENTS. Says "stalled" once
all commands run, and stays until its standard input ends."""
import socket
import ssl
import sys

from clients import frame

TIMEOUT_S = 60


def main(host, port, certs, count):
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    context.load_cert_chain(f"{certs}/client.pem", f"{certs}/client-key.pem")
    context.set_alpn_protocols(["afar/1"])
    stalled = []
    for _ in range(int(count)):
        plain = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        stalled.append(context.wrap_socket(plain, server_hostname="busy"))
        stalled[-1].sendall(frame(b"yes\0", type="exec", v=1, id=1, argc=1))
    for connection in stalled:
        connection.recv(1)  # it has been started
    print("stalled", flush=True)
    sys.stdin.read()


main(*sys.argv[1:])
