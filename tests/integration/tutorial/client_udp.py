# Tutorial §12: the UDP client.
import sys
from socket import AF_INET, SOCK_DGRAM, socket

client = socket(AF_INET, SOCK_DGRAM)
client.settimeout(10)
for line in sys.stdin:
    msg = line.strip()
    client.sendto(msg.encode('utf-8'), (sys.argv[1], int(sys.argv[2])))
    msg, server_addr = client.recvfrom(1024)
    print(msg.decode('utf-8'))
