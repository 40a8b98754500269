"""A client from PROTOCOL.md alone: protocol_client.py HOST PORT [--tls CA CERT KEY] CMD [ARG...]"""
import contextlib, json, os, select, signal, socket, ssl, struct, sys
def connect(host, port, tls):
    conn = socket.create_connection((host, int(port)))
    if tls:
        context = ssl.create_default_context(cafile=tls[0])
        context.load_cert_chain(tls[1], tls[2])
        context.set_alpn_protocols(["afar/1"])
        conn = context.wrap_socket(conn, server_hostname=host)
        assert conn.selected_alpn_protocol() == "afar/1", "the server does not speak afar/1"
    conn.setblocking(False)
    return conn
def frame(payload=b"", **header):
    text = json.dumps(dict(header, size=len(payload))).encode()
    return struct.pack("<I", len(text)) + text + payload
def result(end):
    missing = end.get("error") == {"errno": "ENOENT", "stage": "exec"}
    killed = 128 + int(getattr(signal, f"SIG{end.get('signal')}", end.get("signal", 0)))
    return {"exited": end.get("code"), "signaled": killed, "timed_out": 124,
            "spawn_failed": 127 if missing else 126}.get(end.get("outcome"), 125)
def main(host, port, *args):
    tls, args = (args[1:4], args[4:]) if args[0] == "--tls" else ((), args)
    words = b"".join(os.fsencode(word) + b"\0" for word in args)
    out = bytearray(frame(words, type="exec", v=1, id=1, argc=len(args), stdin="stream"))
    conn, data, sent, taken, seq, eof = connect(host, port, tls), bytearray(), 0, 0, 0, False
    while True:
        room = 0 if eof or len(out) > 262144 else min(65536, taken + 262144 - sent)
        ready = select.select([conn] + [0] * (room > 0), [conn] * (len(out) > 0), [])
        if 0 in ready[0]:
            eof = not (piece := os.read(0, room))
            out += frame(piece, type="stdin", id=1, offset=sent, eof=eof)
            sent += len(piece)
        with contextlib.suppress(OSError):  # where the server has gone, reading tells
            del out[:conn.send(out) if out else 0]
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            data += (chunk := conn.recv(65536))
            assert chunk, "no receipt: what became of the command is unknown"
        while len(data) >= 4 and len(data) >= (start := 4 + struct.unpack_from("<I", data)[0]):
            head = json.loads(data[4:start].decode())
            if len(data) < (end := start + head.get("size", 0)):
                break
            rest, kind, mine = data[start:end], head["type"], head.get("id", 1) == 1
            del data[:end]
            if mine and kind in ("stdout", "stderr", "exit"):
                assert head["seq"] == seq, "a gap in the output"
                seq += 1
                while rest:
                    del rest[:os.write(1 + (kind == "stderr"), rest)]
                out += frame(type="ack", id=1, next=seq)
            out += frame(type="pong", id=head["id"]) if kind == "ping" else b""
            taken = head["stdin"] if mine and kind == "ack" else taken
            if mine and kind in ("exit", "error"):
                return result(head), head.get("message", "")
        assert len(data) < 1 << 21, "a frame that is too long"
try:
    code, message = main(*sys.argv[1:])
except Exception as error:
    code, message = 125, error
sys.exit(print("protocol_client:", message, file=sys.stderr) or code if message else code)
