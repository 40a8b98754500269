"""A client from PROTOCOL.md alone: protocol_client.py HOST PORT [--tls CA CERT KEY] CMD [ARG...]"""
import contextlib, json, os, select, signal, socket, ssl, struct, sys
def connect(host, port, tls):
    stream = socket.create_connection((host, int(port)))
    if tls:
        context = ssl.create_default_context(cafile=tls[0])
        context.load_cert_chain(tls[1], tls[2])
        context.set_alpn_protocols(["afar/1"])
        stream = context.wrap_socket(stream, server_hostname=host)
        assert stream.selected_alpn_protocol() == "afar/1", "the server does not speak afar/1"
    stream.setblocking(False)
    return stream
def frame(payload=b"", **header):
    head = json.dumps({**header, "size": len(payload)}).encode()
    return struct.pack("<I", len(head)) + head + payload
def frames(data):  # takes off those that have come whole
    while len(data) >= 4 and len(data) >= (start := 4 + struct.unpack_from("<I", data)[0]):
        head = json.loads(data[4:start])
        if len(data) < (end := start + head.get("size", 0)):
            break
        yield head, data[start:end]
        del data[:end]
def status(end):
    killed = 128 + int(getattr(signal, f"SIG{end.get('signal')}", end.get("signal", 0)))
    return {"exited": end.get("code"), "signaled": killed, "timed_out": 124, "spawn_failed": 126 +
            (end.get("error") == {"errno": "ENOENT", "stage": "exec"})}.get(end.get("outcome"), 125)
def check(end, counts, began):  # a receipt that contradicts what came is none
    for name, count in counts.items():
        assert end.get("bytes", {}).get(name, 0) == count, f"the receipt counts other {name}"
    ran = end["outcome"] in ("exited", "signaled", "timed_out", "output_limit")
    assert began or not ran, "the receipt is of a command that never started"
def run(stream, words):
    out = bytearray(frame(b"".join(os.fsencode(word) + b"\0" for word in words),
                          type="exec", v=1, id=1, argc=len(words), stdin="stream"))
    data, sent, taken, credit, seq, eof, why = bytearray(), 0, 0, 262144, 0, False, "no receipt"
    counts, began = {"stdout": 0, "stderr": 0}, False
    while True:
        room = min(65536 if credit == 262144 else 262144, taken + credit - sent) * (not eof)
        ready = select.select([stream] + [0] * (room > 0), [stream] * (len(out) > 0), [])
        if 0 in ready[0]:
            out += frame(piece := os.read(0, room), type="stdin", id=1, offset=sent, eof=not piece)
            eof, sent = not piece, sent + len(piece)
        with contextlib.suppress(OSError):  # where the server has gone, reading tells
            del out[:stream.send(out) if out else 0]
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            data += (chunk := stream.recv(65536))
            assert chunk, f"{why}: what became of the command is unknown"
        for head, rest in frames(data):
            kind, own = head["type"], head if head.get("id") == 1 else {}
            credit, taken = own.get("credit", credit), own.get("stdin", taken)
            why = head["message"] if kind == "error" and "id" not in head else why
            out += frame(type="pong", id=head["id"]) if kind == "ping" else b""
            began = began or (own and kind == "started")
            if "seq" in own:
                assert head["seq"] == seq, "a gap in the output"
                if kind in counts:
                    counts[kind] += len(rest)
                elif head["outcome"] != "server_lost":
                    check(head, counts, began)
                while rest:
                    del rest[:os.write(1 + (kind == "stderr"), rest)]
                out += frame(type="ack", id=1, next=(seq := seq + 1))
            if own and kind in ("exit", "error"):
                return status(head), head.get("message", "")
try:
    tls = sys.argv[4:7] if sys.argv[3] == "--tls" else []
    code, message = run(connect(*sys.argv[1:3], tls), sys.argv[7 if tls else 3:])
except Exception as error:
    code, message = 125, error
sys.exit(print("protocol_client:", message, file=sys.stderr) or code if message else code)
