#!/usr/bin/env python3
"""A full disk under the publisher, then under SQLite, then space again: nothing lost, nothing torn.

The disk is a small tmpfs in a mount namespace of this script's own; where the machine allows no such
namespace the tests are skipped. MFN_LONG=1 runs longer with more requests.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from mfnd import Mfnd, Skip, conservation, drop, run_tests, wait_until

CONFIG = """
server: {listen: "127.0.0.1:0", state_dir: "{dir}/STATE", plugin_dirs: ["{plugins}"]}
connectors:
  - name: inbox
    connector_type: file
    config_data: {path: "{dir}/inbox", mode: watch, afterwards: AFTERWARDS}
publishers:
  - name: outbox
    publisher_type: file
    batch_timeout_ms: 5
    batch_size: 20
    retry_policy: {max_retries: 1, base_ms: 5}
    circuit_breaker: {threshold: 5, timeout_ms: 200}
    config_data: {path: "{dir}/OUT", format: jsonl, filename: results.jsonl}
pipelines:
  - {name: main, source: inbox, sinks: [outbox]}
"""
REQUESTS = 5000 if os.environ.get("MFN_LONG") else 600
LETTERS = "mfn.v1.PipelineService/ListDeadLetters"


def enter_namespace():
    """Starts this script again where it may mount; returns only if it is there, or may not be."""
    if os.environ.get("MFN_NAMESPACE"):
        return
    for flags in (["--mount"], ["--mount", "--map-root-user"]):
        probe = subprocess.run(["unshare", *flags, "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True)
        if probe.returncode == 0:
            os.environ["MFN_NAMESPACE"] = "1"
            os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])


class Disk:
    """A tmpfs that can be filled and emptied."""

    def __init__(self, path, kib):
        if not os.environ.get("MFN_NAMESPACE"):
            raise Skip("this machine allows no mount namespace (unshare --mount)")
        self.path = path
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk" % kib, "none", path], check=True)

    def fill(self):
        with contextlib.suppress(OSError), open(self.path / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def empty(self):
        (self.path / "filler").unlink()

    def unmount(self):
        subprocess.run(["umount", "--lazy", self.path], check=False)


def put(server, count, bad_every=0):
    """Half as files, half as lines. Returns the ids of good and of bad requests."""
    good, bad, lines = set(), set(), []
    for k in range(count):
        is_bad = bad_every and k % bad_every == 0
        (bad if is_bad else good).add("r-%d" % k)
        text = '{"request_id": "r-%d", "grid_size": 8, "steps": 4%s}' % (k, ', "alpha": 3' if is_bad else "")
        if k % 2:
            lines.append(text + "\n")
        else:
            drop(server.dir / "inbox", "one-%d.json" % k, text)
    drop(server.dir / "inbox", "many.jsonl", "".join(lines))
    return good, bad


def state_of(server):
    return server.call("mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/main"})["status"]


def results(folder):
    """Ids of whole lines; a line that is torn anywhere but at the end fails."""
    ids = []
    for path in sorted(folder.glob("*.jsonl")):
        whole, _, _ = path.read_text().rpartition("\n")
        ids += [json.loads(line)["request_id"] for line in whole.splitlines()]
    return ids


@contextlib.contextmanager
def scene(out="out", state="state", afterwards="delete"):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mfnd-full-"))
    (folder / "inbox").mkdir()
    config = CONFIG.replace("STATE", state).replace("OUT", out).replace("AFTERWARDS", afterwards)
    server = Mfnd(config, directory=folder)
    try:
        yield server
    finally:
        server.__exit__(None, None, None)
        shutil.rmtree(folder, ignore_errors=True)


def check_all(server, good, bad, out):
    """Everything is where it belongs, and the counters say the same."""
    wait_until(lambda: good <= set(results(out)), "every result after there was space again")
    wait_until(lambda: int(server.call(LETTERS, {"parent": "pipelines/main"}).get("total_size", 0)) >= len(bad),
               "every dead letter after there was space again")
    counts = conservation(server, "main")
    assert counts["delivered"] == len(good) and counts["dead_lettered"] == len(bad), counts
    assert counts["dropped"] == counts["returned"] == 0, counts
    ids = results(out)
    print("    %d results, %d lost, %d duplicates, %d dead letters" %
          (len(ids), len(good - set(ids)), len(ids) - len(set(ids)), len(bad)), flush=True)
    assert set(ids) == good, set(ids) ^ good
    assert server.stop() == 0, server.log()


def test_disk_full_under_the_publisher():
    with scene(out="disk/out") as server:
        disk = Disk(server.dir / "disk", 256)
        try:
            server.start()
            good, _ = put(server, REQUESTS)
            wait_until(lambda: int(state_of(server)["conservation"]["parked"]) > 0, "items to be parked")
            stuck = int(state_of(server)["conservation"]["delivered"])
            assert 0 < stuck < len(good), stuck
            assert len(results(disk.path / "out")) >= stuck, "counted as delivered, but not there"
            time.sleep(2 if os.environ.get("MFN_LONG") else 0.5)  # a while of nothing but failures
            counts = state_of(server)["conservation"]
            assert int(counts["dead_lettered"]) == int(counts["dropped"]) == 0, counts
            subprocess.run(["mount", "-o", "remount,size=64m", disk.path], check=True)
            check_all(server, good, set(), disk.path / "out")
        finally:
            server.kill() if server.process else None
            disk.unmount()


def sqlite_scene(afterwards, kill):
    with scene(state="disk/state", afterwards=afterwards) as server:
        disk = Disk(server.dir / "disk", 4096)
        try:
            server.start()
            disk.fill()
            good, bad = put(server, REQUESTS, bad_every=5)
            # What needs no dead letter goes through; what does waits, unacknowledged.
            wait_until(lambda: "database or disk is full" in state_of(server).get("error", ""), "the store to be full")
            wait_until(lambda: len(set(results(server.dir / "out"))) > 0, "good requests to go on")
            counts = {k: int(v) for k, v in state_of(server)["conservation"].items() if not isinstance(v, dict)}
            assert counts["dead_lettered"] < len(bad) and counts["dropped"] == 0, counts
            if kill:
                server.kill()
            disk.empty()
            if kill:
                server.start()
                wait_until(lambda: good <= set(results(server.dir / "out")), "every result after the restart")
                wait_until(lambda: int(server.call(LETTERS, {"parent": "pipelines/main"}).get("total_size", 0)) >= len(bad),
                           "every dead letter after the restart")
                counts = conservation(server, "main")
                assert counts["dropped"] == counts["returned"] == 0, counts
                assert set(results(server.dir / "out")) == good
                assert server.stop() == 0, server.log()
            else:
                check_all(server, good, bad, server.dir / "out")
        finally:
            server.kill() if server.process else None
            disk.unmount()


def test_disk_full_under_sqlite():
    sqlite_scene("delete", kill=False)


def test_disk_full_under_sqlite_that_also_remembers_what_was_read():
    sqlite_scene("leave", kill=False)


def test_kill_while_the_disk_is_full_under_sqlite():
    sqlite_scene("leave", kill=True)


if __name__ == "__main__":
    enter_namespace()
    run_tests(sys.modules[__name__])
