#!/usr/bin/env python3
"""An hour of load on a real mfnd: do resident memory and file descriptors stay flat?

    tests/soak/run.py [--minutes 60] [--rate 40] [--seed N] [--only KIND]
    tests/soak/run.py --smoke          15 seconds; checks the script and the answers, not flatness

--rate is gRPC calls a second (soak_load: unary, streams, many, lists, cancelled, refused, connectors
made and forgotten, new connections) and about as many pipeline requests a second: two pipelines from
files to files, one of lines with archive and rotation, one of single files that are deleted. What
was checked is removed, so the disk stays bounded. --only limits the calls to one kind of load.cc
("none": the pipelines alone), to find out what grows.

Every 2 seconds the resident set, the descriptors and the threads of mfnd are read from /proc. The
first sixth is the warm-up (arenas, caches, SQLite's page cache fill). The verdict compares the
median of the second sixth with that of the last: both must differ by at most 2 %. Medians, because
one large call at the moment of a sample is no leak; two distant windows, because a leak of any shape
that lasts shows as the difference between them.

Prints a row a minute, every sample into build/soak/samples.csv, and the verdict: flat, conservation,
failures. Exits with 1 unless all three are good.
"""
import argparse
import csv
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("MFN_ROOT", str(ROOT))
os.environ.setdefault("MFN_BUILD", str(ROOT / "build" / "release"))
sys.path.insert(0, str(ROOT / "tests" / "support"))
import mfnd  # noqa: E402  (its folder has just been named)
from process import Sample  # noqa: E402

CONFIG = """
server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}
connectors:
  - name: lines
    connector_type: file
    config_data: {path: "{dir}/lines", mode: watch, afterwards: archive, archive_dir: "{dir}/archive"}
  - name: files
    connector_type: file
    config_data: {path: "{dir}/files", mode: watch, afterwards: delete}
publishers:
  - name: rows
    publisher_type: file
    config_data: {path: "{dir}/rows", format: jsonl, filename: rows.jsonl, rotate_bytes: 1000000}
  - name: singles
    publisher_type: file
    config_data: {path: "{dir}/singles", filename: "{request_id}.json"}
pipelines:
  - {name: soak, source: lines, sinks: [rows]}
  - {name: single, source: files, sinks: [singles]}
"""
SAMPLE_SECONDS = 2
BAD_EVERY = 30  # one request in so many is refused and becomes a dead letter


def growth(values):
    """Median of the last sixth over that of the second, minus 1."""
    sixth = max(1, len(values) // 6)
    before, after = statistics.median(values[sixth:2 * sixth] or values), statistics.median(values[-sixth:])
    return after / before - 1


def check_growth():
    """The statistic tells a leak from noise."""
    noise = [1000 + (k * 37) % 15 for k in range(600)]
    assert abs(growth(noise)) < 0.001, growth(noise)
    assert abs(growth([50 * k if k < 90 else 5000 for k in range(600)])) < 0.001, "warm-up counted"
    leak = [v * (1 + 0.05 * k / 600) for k, v in enumerate(noise)]
    assert growth(leak) > 0.02, growth(leak)


class Traffic:
    """The pipelines' half: files in, results checked off and removed."""

    def __init__(self, folder):
        self.folder = folder
        self.next = 0
        self.open = {"rows": set(), "singles": set()}
        self.refused = {"rows": 0, "singles": 0}
        self.errors = []
        for name in ("lines", "files"):
            (folder / name).mkdir()

    def request(self, output):
        self.next += 1
        if self.next % BAD_EVERY == 0:
            self.refused[output] += 1
            return '{"request_id": "bad-%d", "alpha": 3}' % self.next
        self.open[output].add("r-%d" % self.next)
        return '{"request_id": "r-%d", "grid_size": 32, "steps": 32}' % self.next

    def put(self, requests):
        """A fifth as files of their own, the rest as lines of one."""
        singles = max(1, requests // 5)
        for _ in range(singles):
            text = self.request("singles")
            mfnd.drop(self.folder / "files", "%d.json" % self.next, text)
        lines = [self.request("rows") for _ in range(requests - singles)]
        mfnd.drop(self.folder / "lines", "%d.jsonl" % self.next, "".join(line + "\n" for line in lines))

    def check_off(self, output, text):
        for line in text.splitlines():
            row = json.loads(line)
            if row["status"] != "STATUS_OK":
                self.errors.append("not ok: " + line[:300])
            if row["request_id"] not in self.open[output]:
                self.errors.append("unknown or twice: " + row["request_id"])
            self.open[output].discard(row["request_id"])

    def collect(self, also_live=False):
        for path in self.paths("singles"):
            if not path.name.startswith("."):
                self.check_off("singles", path.read_text())
                path.unlink()
        for path in self.paths("rows"):
            if path.name != "rows.jsonl" or also_live:
                self.check_off("rows", path.read_text())
                path.unlink()
        for path in self.paths("archive"):
            path.unlink()

    def paths(self, folder):
        return sorted(p for p in (self.folder / folder).glob("*") if p.is_file())


def check_conservation(server, traffic):
    """Sentences about what does not add up."""
    wrong = []
    for pipeline, output in (("soak", "rows"), ("single", "singles")):
        counts = mfnd.conservation(server, pipeline)
        print("%-6s %s" % (pipeline, " ".join("%s=%d" % item for item in counts.items())))
        if counts["dead_lettered"] + counts["dropped"] != traffic.refused[output]:
            wrong.append("%s: %d requests were refused" % (pipeline, traffic.refused[output]))
        if counts["returned"]:
            wrong.append("%s: returned" % pipeline)
    return wrong


def drive(server, traffic, load, seconds, rate, samples):
    """Puts, collects and samples until the time is over."""
    start, put, tick = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - start) < seconds:
        due = int(elapsed * rate) - put
        if due >= 5:
            traffic.put(due)
            put += due
        if elapsed >= tick * SAMPLE_SECONDS:
            tick += 1
            traffic.collect()
            samples.append(sample := Sample(server.process.pid))
            sample.second = elapsed
            if tick % (60 // SAMPLE_SECONDS) == 1:
                print("%6.0f s  %7.1f MiB resident (%.1f anonymous)  %3d descriptors  %3d threads  %6.1f s of CPU"
                      % (elapsed, sample.rss_kib / 1024, sample.anonymous_kib / 1024, sample.fds, sample.threads,
                         sample.cpu_seconds), flush=True)
        if load.poll() is not None and elapsed < seconds - 5:
            raise AssertionError("soak_load ended early")
        time.sleep(0.2)


def soak(minutes, rate, seed, smoke, only):
    seconds, samples = minutes * 60, []
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mfn-soak-"))
    print("%g minutes, %g calls and %g pipeline requests a second, seed %d" % (minutes, rate, rate, seed))
    with mfnd.Mfnd(CONFIG, directory=folder) as server:
        traffic = Traffic(folder)
        load = subprocess.Popen([mfnd.BUILD / "bench" / "soak_load", server.address, str(seconds), str(rate), str(seed), *only],
                                stdout=subprocess.PIPE, text=True)
        try:
            drive(server, traffic, load, seconds, rate, samples)
            mfnd.wait_until(lambda: load.poll() is not None, "soak_load to end", 90)
        finally:
            load.kill()
        calls = json.loads(load.stdout.read())
        mfnd.wait_until(lambda: traffic.collect() or not traffic.open["singles"], "the last single files")
        wrong = check_conservation(server, traffic)
        exit_code = server.stop()
        traffic.collect(also_live=True)
        log = server.log()
    wrong += traffic.errors[:5]
    for output, ids in traffic.open.items():
        if ids:
            wrong.append("%s: %d lost: %s" % (output, len(ids), sorted(ids)[:5]))
    if exit_code != 0:
        wrong.append("mfnd ended with %d:\n%s" % (exit_code, log[-2000:]))
    print("calls  " + " ".join("%s=%s" % (k, v) for k, v in calls.items() if k != "first_failure"))
    flat = verdict(samples, smoke)
    print("conservation: %s" % ("; ".join(wrong) or "good, 0 lost, %d requests" % traffic.next))
    print("failures: %d %s" % (calls["failed"], calls["first_failure"]))
    shutil.rmtree(folder, ignore_errors=True)
    return flat and not wrong and calls["failed"] == 0


def verdict(samples, smoke):
    folder = ROOT / "build" / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "samples.csv", "w", newline="") as out:
        writer = csv.DictWriter(out, vars(samples[0]))
        writer.writeheader()
        writer.writerows(vars(s) for s in samples)
    share = (samples[-1].cpu_seconds - samples[0].cpu_seconds) / max(1, samples[-1].second - samples[0].second)
    memory, descriptors = growth([s.rss_kib for s in samples]), growth([s.fds for s in samples])
    flat = abs(memory) <= 0.02 and abs(descriptors) <= 0.02
    print("resident memory %+.2f %%, descriptors %+.2f %% from the second sixth to the last; %.0f %% of a core: %s"
          % (100 * memory, 100 * descriptors, 100 * share,
             "too short to say" if smoke else "flat" if flat else "NOT FLAT"))
    return flat or smoke


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs=1, default=[], metavar="KIND")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    check_growth()
    good = soak(0.25 if arguments.smoke else arguments.minutes, arguments.rate, arguments.seed, arguments.smoke,
                arguments.only)
    sys.exit(0 if good else 1)
