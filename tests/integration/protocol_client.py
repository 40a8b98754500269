"""A client from PROTOCOL.md alone: protocol_client.py HOST PORT [--tls CA CERT KEY] [--resume MS] CMD..."""
import contextlib, json, os, secrets, select, signal, socket, ssl, struct, sys, time
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
def connect_again(host, port, tls, within_s):
    until = time.monotonic() + within_s
    while True:
        try:
            return connect(host, port, tls)
        except OSError:
            assert time.monotonic() < until, "the connection is not to be had again"
            time.sleep(0.05)
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
def attach(state):  # comes back, and says how far it has got
    state["attempt"] += 1
    return frame(type="attach", id=1, holder=state["holder"], attempt=state["attempt"],
                 resume=True, next=state["seq"], ack=state["seq"], next_bytes=state["counts"])
def run(connect, words, resume_ms):
    state = {"holder": secrets.token_hex(16), "attempt": 0, "seq": 0, "counts": {"stdout": 0, "stderr": 0}}
    asked = {"holder": state["holder"], "resume_ms": resume_ms} if resume_ms else {}
    out = bytearray(frame(b"".join(os.fsencode(word) + b"\0" for word in words),
                          type="exec", v=1, id=1, argc=len(words), stdin="stream", **asked))
    data, sent, taken, credit, eof, why = bytearray(), 0, 0, 262144, False, "no receipt"
    counts, began, kept, granted, away = state["counts"], False, bytearray(), 0, False
    stream = connect(0)
    while True:
        room = min(65536 if credit == 262144 else 262144, taken + credit - sent) * (not eof and not away)
        ready = select.select([stream] + [0] * (room > 0), [stream] * (len(out) > 0), [])
        if 0 in ready[0]:
            out += frame(piece := os.read(0, room), type="stdin", id=1, offset=sent, eof=not piece)
            eof, sent, kept = not piece, sent + len(piece), kept + piece
        chunk = None
        try:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    del out[:stream.send(out) if out else 0]
                data += (chunk := stream.recv(65536))
        except OSError:
            chunk = b""
        if chunk == b"":
            assert granted or (resume_ms and not began), f"{why}: what became of the command is unknown"
            stream.close()
            stream, data, away = connect((granted or resume_ms) / 1000), bytearray(), True
            out = bytearray(attach(state))
            continue
        for head, rest in frames(data):
            kind, own = head["type"], head if head.get("id") == 1 else {}
            credit, granted = own.get("credit", credit), own.get("resume_ms", granted)
            if kind == "attached":  # what the server has not received is sent again
                del kept[:head["stdin"] - (sent - len(kept))]
                for at in range(0, len(kept), 65536):
                    out += frame(kept[at:at + 65536], type="stdin", id=1, offset=sent - len(kept) + at)
                if eof and not head.get("stdin_eof"):
                    out += frame(type="stdin", id=1, offset=sent, eof=True)
                taken, away, began = head["taken"], False, True
                assert (head["first"], head["first_bytes"]) == (state["seq"], counts), "output is lost"
            elif "stdin" in own:
                taken = own["stdin"]
                del kept[:max(0, taken - (sent - len(kept)))]
            why = head["message"] if kind == "error" and "id" not in head else why
            out += frame(type="pong", id=head["id"]) if kind == "ping" else b""
            began = began or (own and kind == "started")
            if "seq" in own:
                assert head["seq"] == state["seq"], "a gap in the output"
                if kind in counts:
                    counts[kind] += len(rest)
                elif head["outcome"] != "server_lost":
                    check(head, counts, began)
                while rest:
                    del rest[:os.write(1 + (kind == "stderr"), rest)]
                state["seq"] += 1
                out += frame(type="ack", id=1, next=state["seq"])
            if own and kind in ("exit", "error"):
                stream.setblocking(True)
                with contextlib.suppress(OSError):
                    stream.sendall(out)  # the server waits for this acknowledgement
                return status(head), head.get("message", "")
try:
    rest, tls, resume_ms = sys.argv[3:], [], 0
    if rest[0] == "--tls":
        tls, rest = rest[1:4], rest[4:]
    if rest[0] == "--resume":
        resume_ms, rest = int(rest[1]), rest[2:]
    code, message = run(lambda within_s: connect_again(*sys.argv[1:3], tls, within_s), rest, resume_ms)
except Exception as error:
    code, message = 125, error
sys.exit(print("protocol_client:", message, file=sys.stderr) or code if message else code)
