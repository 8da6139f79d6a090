#!/usr/bin/env python3
"""The wall clock jumps, forward and back, while records are on their way: deliveries, waits and
deadlines go by the monotonic clock and do not notice; stamps follow the wall.

clock_shift.c, preloaded, gives this one process another wall clock.
"""
import contextlib
import datetime
import os
import pathlib
import signal
import struct
import sys
import tempfile
import time

import peer_test
from mfnd import BUILD, Mfnd, Skip, conservation, drop, run_tests, wait_until

SHIFT = BUILD / "tests" / "preload" / "clock_shift.so"
DAY = 86400
JUMPS = [DAY, -2 * DAY, 365 * DAY, -3600, 0, 5]


class WallClock:
    def __init__(self, folder):
        if os.environ.get("MFN_SANITIZE"):
            raise Skip("a sanitizer must be preloaded first")
        self.path = folder / "shift"
        self.set(0)
        self.env = {"LD_PRELOAD": str(SHIFT), "MFN_CLOCK_FILE": str(self.path)}

    def set(self, seconds):
        self.seconds = seconds
        with open(self.path, "r+b" if self.path.exists() else "wb") as out:
            out.write(struct.pack("=q", seconds * 1_000_000_000))

    def now(self):
        return time.time() + self.seconds


@contextlib.contextmanager
def scene():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mfnd-clock-"))
    clock = WallClock(folder)
    (folder / "inbox").mkdir()
    peer = peer_test.Peer(folder)
    peer.start()
    # Long pauses, so that a jump falls into one.
    config = peer_test.CONFIG.replace("base_ms: 20", "base_ms: 500, jitter: none").replace("PORT", str(peer.port)).replace("PEER_PLUGIN", str(BUILD / "tests" / "plugins"))
    server = Mfnd(config, directory=folder, env=clock.env)
    server.owns_directory = True
    try:
        yield server.start(), peer, clock
    finally:
        peer.kill()
        server.__exit__(None, None, None)


def letters(server):
    return server.call("mfn.v1.PipelineService/ListDeadLetters", {"parent": "pipelines/main"}).get("dead_letters", [])


def test_jumps_while_records_flow():
    with scene() as (server, peer, clock):
        wanted = set()
        for k, jump in enumerate(JUMPS):
            wanted |= peer_test.put(server, k * 100, 50)
            clock.set(jump)
            wanted |= peer_test.put(server, k * 100 + 50, 50)
            drop(server.dir / "inbox", "bad-%d.json" % k, '{"request_id": "bad-%d", "alpha": 3}' % k)
            wait_until(lambda: wanted <= set(peer.results()), "results after the jump by %d s" % jump, 20)
            wait_until(lambda: len(letters(server)) == k + 1, "the dead letter after the jump by %d s" % jump, 20)
            stamp = max(letters(server), key=lambda letter: int(letter["name"].rsplit("/", 1)[1]))["time"]
            seconds = datetime.datetime.fromisoformat(stamp.split(".")[0].rstrip("Z") + "+00:00").timestamp()
            assert abs(seconds - clock.now()) < 60, (stamp, clock.now())
            result = server.call("mfn.v1.SimulationService/Run", {"seed": 42, "grid_size": 8})
            assert 0 <= float(result["timing"]["simulate_ms"]) < 60000, result["timing"]
        assert len({letter["name"] for letter in letters(server)}) == len(JUMPS)
        counts = conservation(server, "main")
        assert counts["delivered"] == len(wanted) and counts["dead_lettered"] == len(JUMPS), counts
        assert len(peer.results()) == len(wanted), "a jump made a call time out, and records were sent twice"
        begun = time.monotonic()
        assert server.stop() == 0, server.log()
        assert time.monotonic() - begun < 20


def test_jumps_while_nothing_can_be_delivered():
    """Retries, backoff and the breaker wait; a jump must neither end a wait early for good nor make it last."""
    with scene() as (server, peer, clock):
        wanted = peer_test.put(server, 0, 100)
        wait_until(lambda: wanted <= set(peer.results()), "the first results")
        peer.signal(signal.SIGSTOP)
        wanted |= peer_test.put(server, 1000, 100)
        wait_until(lambda: int(peer_test.status(server)["conservation"]["parked"]) > 0, "items to be parked")
        for k in range(20):  # at different places of a wait
            clock.set(-DAY * (k + 1))
            time.sleep(0.05)
        peer.signal(signal.SIGCONT)
        wait_until(lambda: wanted <= set(peer.results()), "everything, with the clock 20 days back", 20)
        counts = conservation(server, "main")
        assert counts["delivered"] == len(wanted) and counts["dropped"] == counts["dead_lettered"] == 0, counts
        clock.set(-100 * DAY)
        assert server.stop() == 0, server.log()


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
