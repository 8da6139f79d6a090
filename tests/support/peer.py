#!/usr/bin/env python3
"""The other side of peer_plugin.cc: peer.py PORT PORT_FILE RESULTS

A batch is a line with its number of records and a line for each; all of them are in RESULTS, synced,
before the answer "+" goes back. PORT 0 picks a free one; PORT_FILE holds it once the peer listens.
"""
import os
import pathlib
import socket
import sys
import threading

lock = threading.Lock()


def serve(connection, out):
    lines = connection.makefile("rb")
    while header := lines.readline():
        batch = [lines.readline() for _ in range(int(header))]
        if not all(line.endswith(b"\n") for line in batch):
            return  # cut off: the plugin has given up and sends it again
        with lock:
            out.write(b"".join(batch))
            out.flush()
            os.fsync(out.fileno())
        try:
            connection.sendall(b"+")
        except OSError:
            return


def main():
    port, port_file, results = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    part = port_file.with_suffix(".part")
    part.write_text(str(listener.getsockname()[1]))
    part.rename(port_file)
    with open(results, "ab") as out:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, out), daemon=True).start()


if __name__ == "__main__":
    main()
