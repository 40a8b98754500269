# Tutorial §7 and §8: the echo client with its communication loop. HOST PORT or a Unix path; lines from stdin.
import socket
import sys

if len(sys.argv) > 2:
    ss = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    ss.connect((sys.argv[1], int(sys.argv[2])))
else:
    ss = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    ss.connect(sys.argv[1])
for line in sys.stdin:
    msg = line.strip()
    if not msg:
        continue
    ss.send(msg.encode('utf-8'))
    data = ss.recv(1024)
    print(data.decode('utf-8'))
ss.close()
