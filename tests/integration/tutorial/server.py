# The tutorial's servers: KIND is upper (§8), sized (§9), headed (§11) or udp (§12). Prints its port. With a
# number behind KIND it sends its replies in pieces of so many bytes (§10).
import json
import socket
import struct
import subprocess
import sys
import time

kind = sys.argv[1]
piece = int(sys.argv[2]) if len(sys.argv) > 2 else 0


def send(conn, data):
    if not piece:
        conn.send(data) if len(data) < 1024 else conn.sendall(data)
        return
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(data), piece):
        conn.send(data[at:at + piece])
        time.sleep(0.0005)  # so that each piece travels alone


def answer(conn, request):
    if kind == 'upper':
        send(conn, request.upper())
        return
    obj = subprocess.Popen(request.decode('utf-8'), shell=True, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    stdout_res = obj.stdout.read()
    stderr_res = obj.stderr.read()
    obj.communicate()
    total_size = len(stdout_res) + len(stderr_res)
    if kind == 'sized':
        send(conn, struct.pack('i', total_size))
    else:
        head_json = json.dumps({'filename': 'a.txt', 'total_size': total_size, 'md5': 'xxxxxx'})
        head_bytes = head_json.encode('utf-8')
        send(conn, struct.pack('i', len(head_bytes)))
        send(conn, head_bytes)
    send(conn, stdout_res)
    send(conn, stderr_res)


if kind == 'udp':
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(('127.0.0.1', 0))
    print(server.getsockname()[1], flush=True)
    while True:
        msg, client_address = server.recvfrom(1024)
        server.sendto(msg.upper(), client_address)

ss = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
ss.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
ss.bind(('127.0.0.1', 0))
ss.listen(5)
print(ss.getsockname()[1], flush=True)
while True:
    conn, client_addr = ss.accept()
    while True:
        try:
            data = conn.recv(1024)
            if not data:
                break
            answer(conn, data)
        except (ConnectionResetError, BrokenPipeError):
            break
    conn.close()
