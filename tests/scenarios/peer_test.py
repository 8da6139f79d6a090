#!/usr/bin/env python3
"""The publisher's other side is stopped (SIGSTOP) and goes on, or is killed and comes back.

A stopped process is the worst peer: its connections stay open and new ones are accepted by the
kernel, but nothing ever answers. MFN_LONG=1 repeats it more often.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from mfnd import BUILD, ROOT, Mfnd, conservation, drop, run_tests, wait_until

CONFIG = """
server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}", "PEER_PLUGIN"]}
connectors:
  - name: inbox
    connector_type: file
    config_data: {path: "{dir}/inbox", mode: watch, afterwards: delete}
publishers:
  - name: peer
    publisher_type: peer
    timeout_ms: 300
    batch_size: 20
    batch_timeout_ms: 5
    retry_policy: {max_retries: 2, base_ms: 20}
    circuit_breaker: {threshold: 3, timeout_ms: 200}
    config_data: {port: PORT}
pipelines:
  - {name: main, source: inbox, sinks: [peer], max_in_flight: {records: 200}}
"""
ROUNDS = 10 if os.environ.get("MFN_LONG") else 2
REQUESTS = 300  # a round


class Peer:
    def __init__(self, folder):
        self.folder, self.port, self.process = folder, 0, None

    def start(self):
        port_file = self.folder / "peer-port"
        port_file.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, ROOT / "tests/support/peer.py", str(self.port), port_file,
                                         self.folder / "results.jsonl"])
        wait_until(port_file.exists, "the peer to listen")
        self.port = int(port_file.read_text())

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def results(self):
        path = self.folder / "results.jsonl"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line)["request_id"] for line in whole.splitlines()]


@contextlib.contextmanager
def scene():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mfnd-peer-"))
    (folder / "inbox").mkdir()
    peer = Peer(folder)
    peer.start()
    config = CONFIG.replace("PORT", str(peer.port)).replace("PEER_PLUGIN", str(BUILD / "tests" / "plugins"))
    server = Mfnd(config, directory=folder)
    try:
        yield server.start(), peer
    finally:
        server.__exit__(None, None, None)
        peer.kill()
        shutil.rmtree(folder, ignore_errors=True)


def put(server, start, count):
    ids = ["r-%d" % k for k in range(start, start + count)]
    drop(server.dir / "inbox", "%d.jsonl" % start,
         "".join('{"request_id": "%s", "grid_size": 8, "steps": 4}\n' % i for i in ids))
    return set(ids)


def status(server):
    return server.call("mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/main"})["status"]


def rounds(take_away, give_back):
    """Each round: the peer goes while records are on their way, items park, it comes back, all arrive."""
    with scene() as (server, peer):
        wanted = set()
        for k in range(ROUNDS):
            wanted |= put(server, k * REQUESTS, REQUESTS)
            wait_until(lambda: len(set(peer.results())) > k * REQUESTS, "the first results of the round")
            take_away(peer)
            wanted |= put(server, 1000000 + k * REQUESTS, REQUESTS)
            wait_until(lambda: int(status(server)["conservation"]["parked"]) > 0, "items to be parked")
            counts = status(server)
            assert counts["state"] == "STATE_RUNNING", counts
            unacked = int(counts["records_read"]) - int(counts.get("records_acked", 0))
            assert unacked <= 200, "more in flight than allowed: %s" % counts
            assert int(counts["conservation"]["dead_lettered"]) == int(counts["conservation"]["dropped"]) == 0, counts
            give_back(peer)
            wait_until(lambda: wanted <= set(peer.results()), "everything, with the peer back")
        counts = conservation(server, "main")
        ids = peer.results()
        print("    %d rounds: %d records, %d lost, %d duplicates" %
              (ROUNDS, len(wanted), len(wanted - set(ids)), len(ids) - len(set(ids))), flush=True)
        assert set(ids) == wanted, sorted(set(ids) ^ wanted)[:10]
        assert counts["delivered"] == len(wanted) and counts["dead_lettered"] == counts["dropped"] == 0, counts
        assert server.stop() == 0, server.log()


def test_stopped_peer():
    rounds(lambda peer: peer.signal(signal.SIGSTOP), lambda peer: peer.signal(signal.SIGCONT))


def test_killed_peer():
    rounds(lambda peer: peer.kill(), lambda peer: peer.start())


def test_kill_while_the_peer_is_stopped():
    """What the peer did not take is read again."""
    with scene() as (server, peer):
        wanted = put(server, 0, REQUESTS)
        wait_until(lambda: len(peer.results()) > 0, "the first results")
        peer.signal(signal.SIGSTOP)
        wanted |= put(server, 1000000, REQUESTS)
        wait_until(lambda: int(status(server)["conservation"]["parked"]) > 0, "items to be parked")
        server.kill()
        peer.signal(signal.SIGCONT)
        server.start()
        wait_until(lambda: wanted <= set(peer.results()), "everything, after the restart")
        counts = conservation(server, "main")
        assert counts["dead_lettered"] == counts["dropped"] == 0, counts
        assert set(peer.results()) == wanted
        assert server.stop() == 0, server.log()


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
