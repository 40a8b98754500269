# Tutorial §9 (sized) and §11 (headed): KIND HOST PORT [CA CERT KEY], or KIND PATH; one command a line from
# stdin. The loops and the buffer sizes are the tutorial's; UTF-8 stands for its GBK, and where it trusts
# recv(4) to give four bytes, so do we.
import hashlib
import json
import socket
import ssl
import struct
import sys

kind, where = sys.argv[1], sys.argv[2:]
if len(where) == 1:
    ss = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    ss.connect(where[0])
else:
    ss = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    ss.connect((where[0], int(where[1])))
if len(where) == 5:
    context = ssl.create_default_context(cafile=where[2])
    context.load_cert_chain(where[3], where[4])
    ss = context.wrap_socket(ss, server_hostname=where[0])

for line in sys.stdin:
    cmd = line.strip()
    if not cmd:
        continue
    ss.send(cmd.encode('utf-8'))
    header_size = struct.unpack('i', ss.recv(4))[0]
    head_dic = {'total_size': header_size}
    if kind == 'headed':
        head_dic = json.loads(ss.recv(header_size).decode('utf-8'))
        assert set(head_dic) == {'filename', 'total_size', 'md5'}, head_dic
    cmd_res = b''
    recv_size = 0
    total_size = head_dic['total_size']
    while recv_size < total_size:
        recv_data = ss.recv(1024)
        assert recv_data, 'cut off'
        cmd_res += recv_data
        recv_size += len(recv_data)
    if kind == 'headed':
        assert hashlib.md5(cmd_res).hexdigest() == head_dic['md5'], 'wrong md5'
    sys.stdout.write('%d\n' % total_size)
    if total_size < 4096:
        sys.stdout.write(cmd_res.decode('utf-8'))
    sys.stdout.flush()
ss.close()
