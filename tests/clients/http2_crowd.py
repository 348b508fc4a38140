"""One client that has many requests of HTTP/2 under way at once, and never sends their bodies. Prints as JSON what came of
those that were answered. Arguments: port, certificate authority, how many."""
import json
import sys

from http2_frames import Wire, fields
from hyperframe.frame import RstStreamFrame, SettingsFrame

CANCEL = 8


def main():
    port, ca, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    streams = range(1, 2 * count, 2)
    wire = Wire(port, ca)
    wire.send(SettingsFrame(0))
    wire.send(*(wire.headers_frame(stream, fields("/oauth2/token", "POST"), end=False) for stream in streams))
    # Another connection of the same client.
    beside = Wire(port, ca)
    beside.send(SettingsFrame(0), beside.headers_frame(1, fields("/some/page")))
    beside.read(beside.settled())
    first = beside.outcome()
    # What is given up makes room.
    wire.send(*(RstStreamFrame(stream, CANCEL) for stream in streams))
    stream = 3
    while True:
        beside.send(beside.headers_frame(stream, fields("/some/page")))
        beside.read(beside.settled(stream))
        if beside.outcome(stream) != first:
            break
        stream += 2
    many = [(f"x-{n}", "y") for n in range(200)]
    beside.send(beside.headers_frame(stream + 2, fields("/some/page", more=many)))
    beside.read(beside.settled(stream + 2))
    print(json.dumps({"beside": first, "after": beside.outcome(stream), "many fields": beside.outcome(stream + 2)}))


main()
