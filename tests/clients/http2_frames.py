"""Sends frames of HTTP/2 (RFC 9113) that no client of good will sends, each case on a connection of its own, and prints
what came of it as JSON. Arguments: port, certificate authority."""
import json
import socket
import ssl
import sys

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 60
GRANT = b"grant_type=password&username=alice&password=passw0rd&client_id=cli"


class Wire:
    def __init__(self, port, ca, preface=PREFACE):
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.stream = context.wrap_socket(plain, server_hostname="site.test")
        self.encoder, self.decoder = Encoder(), Decoder()
        self.buffer = b""
        self.status, self.reset, self.goaway, self.closed = {}, {}, None, False
        self.headers, self.body, self.streams_max = {}, {}, None
        self.stream.sendall(preface)

    def send(self, *frames):
        try:
            self.stream.sendall(b"".join(frame.serialize() for frame in frames))
        except OSError:
            self.closed = True

    def headers_frame(self, stream, fields, end=True, encoded=None):
        data = self.encoder.encode(fields) if encoded is None else encoded
        return HeadersFrame(stream, data, flags=["END_HEADERS"] + (["END_STREAM"] if end else []))

    def read(self, until):
        """Reads until `until` says so, or the end."""
        while not until() and not self.closed:
            try:
                data = self.stream.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                self.closed = True
                return
            self.buffer += data
            while len(self.buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(self.buffer[9:9 + length]))
                self.buffer = self.buffer[9 + length:]
                self.take(frame)

    def take(self, frame):
        if isinstance(frame, GoAwayFrame):
            # A graceful one says 0, and comes with the last possible stream first.
            self.goaway = frame.error_code
        elif isinstance(frame, SettingsFrame):
            self.streams_max = frame.settings.get(SettingsFrame.MAX_CONCURRENT_STREAMS, self.streams_max)
        elif isinstance(frame, RstStreamFrame):
            self.reset[frame.stream_id] = frame.error_code
        elif isinstance(frame, HeadersFrame):
            fields = self.decoder.decode(frame.data)
            self.headers[frame.stream_id] = dict(fields)
            self.status[frame.stream_id] = dict(fields)[":status"]
        elif isinstance(frame, DataFrame):
            self.body[frame.stream_id] = self.body.get(frame.stream_id, b"") + frame.data

    def outcome(self, stream=1):
        if stream in self.status:
            return f"status {self.status[stream]}"
        if stream in self.reset:
            return f"reset {self.reset[stream]}"
        if self.goaway is not None:
            return f"goaway {self.goaway}" if self.goaway else "goodbye"
        return "closed" if self.closed else "nothing"

    def settled(self, stream=1):
        return lambda: stream in self.status or stream in self.reset or bool(self.goaway)


def fields(path="/", method="GET", more=()):
    return [(":method", method), (":scheme", "https"), (":path", path), (":authority", "site.test"), *more]


def case(port, ca, sent):
    wire = Wire(port, ca)
    wire.send(SettingsFrame(0))
    sent(wire)
    wire.read(wire.settled())
    return wire.outcome()


def request(fields, end=True, encoded=None):
    return lambda wire: wire.send(wire.headers_frame(1, fields, end, encoded))


def literal(name, value):
    """A field without Huffman and without a table, which HPACK libraries refuse to write."""
    return bytes([0x10, len(name)]) + name + bytes([len(value)]) + value


def many(wire):
    for stream in range(1, 4001, 2):
        wire.send(wire.headers_frame(stream, fields("/some/page")), RstStreamFrame(stream, 8))
        if wire.closed:
            return


def flood(wire):
    wire.send(HeadersFrame(1, wire.encoder.encode(fields()), flags=["END_STREAM"]))
    for _ in range(20000):
        wire.send(ContinuationFrame(1, literal(b"x-more", b"y" * 100)))
        if wire.closed:
            return


def grant(port, ca):
    """A log-in of an enrolled user without a code, in small pieces, beside other requests."""
    wire = Wire(port, ca)
    body = [("content-type", "application/x-www-form-urlencoded"), ("content-length", str(len(GRANT)))]
    wire.send(SettingsFrame(0), wire.headers_frame(1, fields("/oauth2/token", "POST", body), end=False))
    wire.send(wire.headers_frame(3, fields("/some/page")))
    for at in range(len(GRANT)):
        wire.send(DataFrame(1, GRANT[at:at + 1], flags=["END_STREAM"] if at == len(GRANT) - 1 else []))
    wire.read(lambda: 1 in wire.body and 3 in wire.status)
    return {"status": wire.status[1], "tfa": wire.headers[1].get("x-drupal-tfa"), "body": wire.body[1].decode(),
            "beside": wire.status[3]}


def many_at_once(port, ca):
    """Opens one upload more than the server says that it takes, and ends none."""
    wire = Wire(port, ca)
    wire.send(SettingsFrame(0))
    wire.read(lambda: wire.streams_max is not None)
    last = 2 * wire.streams_max + 1
    for stream in range(1, last + 1, 2):
        wire.send(wire.headers_frame(stream, fields("/some/page", "POST"), end=False))
    wire.read(wire.settled(last))
    return {"announced": wire.streams_max, "one more": wire.outcome(last),
            "others": [wire.outcome(stream) for stream in range(1, last, 2)]}


def stalled(port, ca):
    """Asks for much and takes none of it: a window of no bytes."""
    wire = Wire(port, ca)
    wire.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
    wire.send(wire.headers_frame(1, fields("/some/page")))
    wire.read(lambda: False)
    return wire.outcome(stream=99)


def idle(port, ca):
    wire = Wire(port, ca)
    wire.send(SettingsFrame(0))
    wire.read(lambda: False)
    return wire.outcome()


def silent(port, ca):
    wire = Wire(port, ca, preface=PREFACE[:10])
    wire.read(lambda: False)
    return "closed" if wire.closed else "open"


def main():
    port, ca = int(sys.argv[1]), sys.argv[2]
    one = lambda sent: case(port, ca, sent)
    encoder = Encoder()
    plain = encoder.encode(fields())
    results = {
        "a plain request": one(request(fields("/some/page"))),
        "connection-specific field": one(request(fields(more=[("connection", "keep-alive")]))),
        "transfer-encoding": one(request(fields(more=[("transfer-encoding", "chunked")]))),
        "upper case name": one(request(None, encoded=plain + literal(b"X-Upper", b"y"))),
        "line break in a value": one(request(None, encoded=plain + literal(b"x", b"a\r\nx-drupal-tfa: 1"))),
        "no path": one(request([(":method", "GET"), (":scheme", "https"), (":authority", "a")])),
        "two paths": one(request(fields(more=[(":path", "/oauth2/token")]))),
        "pseudo field after a field": one(request([(":method", "GET"), ("x", "y"), (":scheme", "https"), (":path", "/")])),
        "body longer than its length": one(lambda wire: wire.send(
            wire.headers_frame(1, fields("/x", "POST", [("content-length", "1")]), end=False),
            DataFrame(1, b"abc", flags=["END_STREAM"]))),
        "connect": one(request([(":method", "CONNECT"), (":authority", "evil.test:80")])),
        "the endpoint in disguise": one(request(fields("/oauth2//token", "POST"))),
        "two hosts": one(request(fields(more=[("host", "a.test"), ("host", "b.test")]))),
        "data on no stream": one(lambda wire: wire.send(DataFrame(5, b"x"))),
        "window beyond its bound": one(lambda wire: wire.send(*[WindowUpdateFrame(0, 2 ** 31 - 1)] * 2)),
        "a header without an end": one(flood),
        "requests that are taken back at once": one(many),
        "garbage": one(lambda wire: wire.stream.sendall(b"\xff" * 100)),
        "a preface that is none": Wire(port, ca, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b"x" * 100),
    }
    wrong = results["a preface that is none"]
    wrong.read(lambda: False)
    results["a preface that is none"] = "closed" if wrong.closed and not wrong.status else "open"
    results["grant"] = grant(port, ca)
    results["many at once"] = many_at_once(port, ca)
    results["idle"] = idle(port, ca)
    results["silent"] = silent(port, ca)
    results["stalled"] = stalled(port, ca)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
