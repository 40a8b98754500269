"""A client for the Afar protocol, from PROTOCOL.md alone: HOST PORT [--tls CA CERT KEY] CMD [ARG...]"""
import json, os, select, signal, socket, ssl, struct, sys

CREDIT = 262144  # section 8: stdin that may be under way

def fail(message):
    sys.exit(print('protocol_client:', message, file=sys.stderr) or 125)

def connect(args):
    host, port = args.pop(0), int(args.pop(0))
    conn = socket.create_connection((host, port))
    if args[0] == '--tls':
        context = ssl.create_default_context(cafile=args[1])
        context.load_cert_chain(args[2], args[3])
        context.set_alpn_protocols(['afar/1'])
        conn = context.wrap_socket(conn, server_hostname=host)
        del args[:4]
    conn.setblocking(False)
    return conn

def put(out, payload=b'', **header):
    text = json.dumps(dict(header, size=len(payload))).encode()
    out += struct.pack('<I', len(text)) + text + payload

def status(end):
    if end['outcome'] == 'spawn_failed':
        return 127 if (end['error']['errno'], end['error']['stage']) == ('ENOENT', 'exec') else 126
    killed = signal.Signals['SIG' + end['signal']] + 128 if end['outcome'] == 'signaled' else 125
    return {'exited': end.get('code'), 'timed_out': 124}.get(end['outcome'], killed)

conn, out, data = connect(args := sys.argv[1:]), bytearray(), bytearray()
words, offset, acked, eof = b''.join(os.fsencode(a) + b'\0' for a in args), 0, 0, False
put(out, words, type='exec', v=1, id=1, argc=len(args), stdin='stream')
while True:
    room = 0 if eof else min(65536, acked + CREDIT - offset)
    held = isinstance(conn, ssl.SSLSocket) and conn.pending()
    ready = select.select([conn] + [0] * (room > 0), [conn][:len(out)], [], 0 if held else None)
    if 0 in ready[0]:
        piece = os.read(0, room)
        put(out, piece, type='stdin', id=1, offset=offset, eof=(eof := not piece))
        offset += len(piece)
    try:
        del out[:conn.send(out) if out else 0]
        data += conn.recv(262144) or fail('no receipt: what became of the command is unknown')
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        pass
    while len(data) >= 4 and len(data) >= (start := 4 + struct.unpack_from('<I', data)[0]):
        head = json.loads(data[4:start])
        end = start + head.get('size', 0)
        if len(data) < end:
            break
        if head['type'] in ('stdout', 'stderr'):
            os.writev(1 + (head['type'] == 'stderr'), [data[start:end]])
            put(out, type='ack', id=1, next=head['seq'] + 1)
        acked = head.get('stdin', acked)
        if head['type'] in ('error', 'exit'):
            fail('%(code)s: %(message)s' % head) if head['type'] == 'error' else sys.exit(status(head))
        del data[:end]
