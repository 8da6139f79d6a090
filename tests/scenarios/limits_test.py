#!/usr/bin/env python3
"""A thousand calls, streams and instances at once; readers that stop; clients that die. Memory and
threads stay bounded, computing stops, and everything is given back. MFN_LONG=1 repeats it. A sanitizer
keeps memory of its own, so there resident memory is not looked at, but the server ends without a leak.
"""
import contextlib
import json
import os
import subprocess
import sys
import time

from mfnd import BUILD, Mfnd, run_tests, wait_until
from process import Sample

SERVER = 'server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}\n'
ROUNDS = 10 if os.environ.get("MFN_LONG") else 2
MIB = 1024  # KiB
SANITIZED = bool(os.environ.get("MFN_SANITIZE"))
SLOWER = 20 if SANITIZED else 1


def burst(server, *arguments):
    return subprocess.Popen([BUILD / "bench" / "burst", server.address, *map(str, arguments)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ending(client):
    """How the client's calls ended: {code: count}."""
    client.stdin.close()
    line = client.stdout.readline()
    assert client.wait(120) == 0
    return json.loads(line)["codes"]


def sample(server):
    return Sample(server.process.pid)


@contextlib.contextmanager
def scene(config=SERVER):
    with Mfnd(config) as server:
        yield server
        assert server.stop() == 0, server.log()[-6000:]


def wait_for_memory(server, level_kib, what):
    """Resident memory returns to within a tenth and 8 MiB of its level."""
    wait_until(lambda: SANITIZED or sample(server).rss_kib <= level_kib * 1.1 + 8 * MIB,
               "memory to return to %d KiB %s, it is %s" % (level_kib, what, sample(server)), 40)


def test_thousand_unary_calls_at_once():
    with scene() as server:
        assert ending(burst(server, "unary", 50, 64, 64)) == {"0": 50}  # all threads exist now
        level = sample(server).rss_kib
        for _ in range(ROUNDS):
            assert ending(burst(server, "unary", 1000, 64, 64)) == {"0": 1000}
        assert sample(server).threads < 100, sample(server)
        wait_for_memory(server, level, "after a thousand calls")
        print("    %d KiB before, after %s" % (level, sample(server)), flush=True)


def test_thousand_streams_whose_readers_stop():
    with scene() as server:
        assert ending(burst(server, "unary", 50, 64, 64)) == {"0": 50}
        level = sample(server).rss_kib
        client = burst(server, "stream", 1000, 64, 512)
        assert client.stdout.readline() == "open\n"
        peak = sample(server)
        assert SANITIZED or peak.rss_kib - level < 700 * MIB, peak  # 458 KiB of simulation each, and gRPC's buffers
        assert peak.threads < 100, peak
        client.kill()
        client.wait()
        wait_for_memory(server, level, "after a thousand streams")
        print("    %d KiB before, %s with 1000 open, after %s" % (level, peak, sample(server)), flush=True)


def test_a_slow_reader_slows_the_simulation():
    with scene() as server:
        client = burst(server, "stream", 4, 256, 100000)
        assert client.stdout.readline() == "open\n"
        # Buffers fill within moments; then nothing is computed and nothing grows.
        before = sample(server)

        def still():
            nonlocal before
            time.sleep(1)
            now, last = sample(server), before
            before = now
            return now.cpu_seconds - last.cpu_seconds < 0.1 and now.rss_kib - last.rss_kib < MIB

        wait_until(still, "the simulations to wait for their readers", 30)
        print("    four readers that stopped: %s" % before, flush=True)
        assert SANITIZED or before.rss_kib < 300 * MIB, before
        client.kill()
        client.wait()
        wait_until(lambda: SANITIZED or sample(server).rss_kib < before.rss_kib, "the dead client's memory to be free", 40)


def test_a_dead_client_stops_the_simulation():
    with scene() as server:
        client = burst(server, "unary", 4, 1024, 60000)
        begun = sample(server).cpu_seconds
        wait_until(lambda: sample(server).cpu_seconds > begun + 0.5, "the simulations to compute")
        client.kill()
        client.wait()
        killed = sample(server).cpu_seconds
        time.sleep(2)  # far more than it may take
        after = sample(server).cpu_seconds - killed
        print("    %.2f s of CPU after the client died" % after, flush=True)
        assert after < 0.3 * SLOWER, after  # 50 ms in each of two threads, two ticks, ending four calls


def test_thousand_instances():
    lines = "".join("  - {name: m-%d, publisher_type: memory, config_data: {queue: q-%d}}\n" % (k, k) for k in range(1000))
    with scene(SERVER + "publishers:\n" + lines) as server:
        listed, token = 0, ""
        while True:
            page = server.call("mfn.v1.ConnectorService/ListConnectors", {"page_size": 300, "page_token": token})
            listed += len(page["connectors"])
            token = page.get("next_page_token", "")
            if not token:
                break
        assert listed == 1000, listed
        for k in range(0, 1000, 100):
            assert server.call("mfn.v1.ConnectorService/CheckConnector", {"name": "connectors/m-%d" % k})["healthy"]
        taken = sample(server)
        print("    a thousand instances: %s" % taken, flush=True)
        assert taken.threads < 100 and taken.fds < 100, taken
        assert SANITIZED or taken.rss_kib < 200 * MIB, taken
        begun = time.monotonic()
        assert server.stop() == 0, server.log()[-2000:]
        assert time.monotonic() - begun < 20 * SLOWER


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
