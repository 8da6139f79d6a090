#!/usr/bin/env python3
"""kill -9 in the middle of 1,000 file requests, ten times: nothing lost, duplicates recognisable.

MFN_KILLS=100 kills a hundred times, and makes each request longer so that there is work left to kill.
The moment of each kill is drawn from a seed that is printed; MFN_SEED repeats a run.
"""
import collections
import os
import random
import sys
import time

from mfnd import Mfnd, drop, read_jsonl, run_tests, wait_until

CONFIG = """
server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}
connectors:
  - name: inbox
    connector_type: file
    config_data: {path: "{dir}/inbox", mode: watch, AFTERWARDS}
publishers:
  - name: outbox
    publisher_type: file
    batch_timeout_ms: 5
    config_data: {path: "{dir}/outbox", format: jsonl, filename: results.jsonl}
pipelines:
  - {name: main, source: inbox, sinks: [outbox]}
"""
REQUESTS = 1000
KILLS = int(os.environ.get("MFN_KILLS", 10))
STEPS = 64 if KILLS <= 10 else 256


def scenario(afterwards):
    seed = int(os.environ.get("MFN_SEED", random.SystemRandom().randrange(1 << 32)))
    chance = random.Random(seed)
    server = Mfnd(CONFIG.replace("AFTERWARDS", afterwards))
    try:
        inbox = server.dir / "inbox"
        inbox.mkdir()
        wanted = set()
        # Half as files of their own, half as lines of larger files: both ways of being in the middle.
        for k in range(REQUESTS // 2):
            drop(inbox, "one-%04d.json" % k, '{"request_id": "one-%d", "grid_size": 128, "steps": %d}' % (k, STEPS))
            wanted.add("one-%d" % k)
        for k in range(10):
            ids = ["line-%d" % n for n in range(k * REQUESTS // 20, (k + 1) * REQUESTS // 20)]
            drop(inbox, "many-%d.jsonl" % k,
                 "".join('{"request_id": "%s", "grid_size": 128, "steps": %d}\n' % (i, STEPS) for i in ids))
            wanted.update(ids)
        assert len(wanted) == REQUESTS

        def done():
            return len({r.get("request_id") for r in read_jsonl(server.dir / "outbox")})

        kills = unfinished = 0
        for k in range(KILLS):
            server.start()
            target = min(REQUESTS - 1, done() + chance.randrange(1, max(2, REQUESTS // KILLS // 2)))
            wait_until(lambda: done() >= target, "%d results (seed %d)" % (target, seed))
            time.sleep(chance.random() * 0.01)  # anywhere within a batch, not only at its end
            server.kill()
            kills += 1
            unfinished += done() < REQUESTS
        before = done()
        server.start()
        wait_until(lambda: done() >= REQUESTS, "all results after the last restart (seed %d)" % seed, 120 if KILLS <= 10 else 900)
        assert server.stop() == 0, server.log()
        rows = read_jsonl(server.dir / "outbox")
        keys = collections.defaultdict(set)
        for row in rows:
            assert row["status"] == "STATUS_OK" or row["status"] == "OK", row
            keys[row["request_id"]].add(row["idempotency_key"])
        lost = wanted - set(keys)
        print("    %s: %d kills (%d with work left), %d results before the last start, %d rows, %d lost, %d duplicates (seed %d)"
              % (afterwards.split(",")[0], kills, unfinished, before, len(rows), len(lost), len(rows) - len(keys), seed), flush=True)
        assert unfinished >= KILLS // 2, "the requests were done too soon to be interrupted"
        assert not lost, sorted(lost)[:10]
        assert set(keys) == wanted
        torn = {i: k for i, k in keys.items() if len(k) != 1}
        assert not torn, "duplicates with different idempotency keys: %s" % torn
        assert len({k for s in keys.values() for k in s}) == REQUESTS, "two requests share a key"
    finally:
        server.__exit__(None, None, None)


def test_archive():
    scenario('afterwards: archive, archive_dir: "{dir}/archive"')


def test_leave():
    scenario("afterwards: leave")


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
