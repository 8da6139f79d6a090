#!/usr/bin/env python3
"""Ratios of mfnd to its yardsticks, measured in turn (A B A B ...) so that a noisy machine hits both.

    tests/bench/run.py rpc        unary calls per second against a bare gRPC echo; server and client
                                  pinned to different cores
    tests/bench/run.py pipeline   simulations per second from files to a file against the engine alone
    tests/bench/run.py guard      what a guarded call costs beyond its clock reads, alone and with two
                                  threads on one guard; exit code 1 if a bound does not hold
    tests/bench/run.py smoke      all of them and engine_bench, once and small: do they work?

Prints every round and the medians. Only the ratio means anything beyond this machine.
"""
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

BENCH = mfnd.BUILD / "bench"
SERVER = 'server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}\n'


def pinned(core):
    """The start of a command line that stays on one core, where there is more than one."""
    return ["taskset", "-c", str(core)] if os.cpu_count() > 1 else []


def load(address, what, calls, streams):
    done = subprocess.run([*pinned(1), BENCH / "rpc_bench", "load", address, what, str(calls), str(streams)],
                          capture_output=True, text=True, timeout=300, check=True)
    rate, size = done.stdout.split()
    return float(rate), int(size)


def bench_rpc(calls=20000, rounds=7, streams=8):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mfn-bench-"))
    server = mfnd.Mfnd(SERVER, directory=folder)
    echo = None
    try:
        server.start()
        for task in os.listdir("/proc/%d/task" % server.process.pid):
            subprocess.run(["taskset", "-a", "-p", "-c", "0", task], capture_output=True)
        size = load(server.address, "run", 1, 1)[1]
        echo = subprocess.Popen([*pinned(0), BENCH / "rpc_bench", "serve", folder / "echo-port", str(size)])
        mfnd.wait_until(lambda: (folder / "echo-port").exists(), "the echo server")
        address = "127.0.0.1:" + (folder / "echo-port").read_text()
        ratios = []
        for k in range(rounds):
            bare, _ = load(address, "echo", calls, streams)
            ours, _ = load(server.address, "run", calls, streams)
            ratios.append(ours / bare)
            print("round %d: echo %8.0f/s  run %8.0f/s  ratio %.3f" % (k + 1, bare, ours, ratios[-1]), flush=True)
        print("unary calls against a bare echo with replies of %d bytes: median ratio %.3f (%.3f to %.3f)"
              % (size, statistics.median(ratios), min(ratios), max(ratios)))
    finally:
        if echo:
            echo.kill()
            echo.wait()
        server.__exit__(None, None, None)
        shutil.rmtree(folder, ignore_errors=True)


PIPELINE = SERVER + """
connectors:
  - {name: inbox, connector_type: file, config_data: {path: "{dir}/inbox", mode: once, afterwards: leave}}
publishers:
  - {name: outbox, publisher_type: file, config_data: {path: "{dir}/outbox", format: jsonl, filename: results.jsonl}}
pipelines:
  - {name: main, source: inbox, sinks: [outbox], autostart: false}
"""


def pipeline_rate(count, grid, steps, lines_per_file):
    """Simulations per second from start of the pipeline until every result is in its file, durably."""
    with mfnd.Mfnd(PIPELINE) as server:
        inbox = server.dir / "inbox"
        inbox.mkdir(exist_ok=True)
        for first in range(0, count, lines_per_file):
            rows = ['{"request_id": "%d", "seed": %d, "grid_size": %d, "steps": %d}\n' % (k, k, grid, steps)
                    for k in range(first, min(count, first + lines_per_file))]
            (inbox / ("%06d.%s" % (first, "json" if lines_per_file == 1 else "jsonl"))).write_text("".join(rows))
        old = time.time() - 60  # settled long ago: the source need not wait to see whether they still grow
        for path in inbox.iterdir():
            os.utime(path, (old, old))
        started = time.monotonic()
        server.call("mfn.v1.PipelineService/StartPipeline", {"name": "pipelines/main"})
        results = server.dir / "outbox" / "results.jsonl"
        mfnd.wait_until(results.exists, "the first result")
        lines = 0
        with open(results, "rb") as file:

            def written():
                nonlocal lines
                lines += file.read().count(b"\n")  # only what is new: watching must not cost a core
                return lines >= count

            mfnd.wait_until(written, "%d results" % count, 600)
        return count / (time.monotonic() - started)


def bench_pipeline(count=6000, grid=64, steps=64, rounds=5):
    threads = os.cpu_count()
    for label, lines in (("one request a file", 1), ("500 requests a file", 500)):
        ratios = []
        for k in range(rounds):
            alone = float(subprocess.run([BENCH / "engine_alone", str(count), str(grid), str(steps), str(threads), "elapsed"],
                                         capture_output=True, text=True, check=True).stdout)
            ours = pipeline_rate(count, grid, steps, lines)
            ratios.append(ours / alone)
            print("round %d: engine alone %7.1f/s  file to file %7.1f/s  ratio %.3f" % (k + 1, alone, ours, ratios[-1]),
                  flush=True)
        print("%s, %d x %d, %d steps, %d threads: median ratio %.3f (%.3f to %.3f)"
              % (label, grid, grid, steps, threads, statistics.median(ratios), min(ratios), max(ratios)))


def bench_guard(repetitions=25, seconds=0.02):
    """True if the bounds of a guarded call hold. Google Benchmark interleaves the repetitions."""
    done = subprocess.run([BENCH / "guard_bench", "--benchmark_format=json", "--benchmark_min_time=%g" % seconds,
                           "--benchmark_repetitions=%d" % repetitions,
                           "--benchmark_enable_random_interleaving=true"],
                          capture_output=True, text=True, timeout=300, check=True)
    runs = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        if run["run_type"] == "iteration":
            runs.setdefault(run["name"], []).append(run)
    ns = {name: statistics.median(run["ns"] for run in of) for name, of in runs.items()}
    for name, of in sorted(runs.items()):
        times = sorted(run["ns"] for run in of)
        print("%-28s %7.2f ns  (%.2f to %.2f)" % (name, ns[name], times[0], times[-1]))
    beyond = ns["GuardedCall/threads:1"] - ns["ClockReads"]
    ratio = ns["GuardedCall/threads:2"] / ns["GuardedCall/threads:1"]
    apart = ns["GuardedCall/threads:2"] / ns["GuardedCallApart/threads:2"]
    allocated = max(run["allocations"] for name, of in runs.items() for run in of)
    print("beyond its %d clock reads a guarded call takes %.2f ns (at most 10)" % (runs["ClockReads"][0]["reads"], beyond))
    print("two threads on one guard: %.3f times one (at most 1.2); %.3f times two guards" % (ratio, apart))
    print("a closed breaker's check: %.2f ns beyond an atomic load" % (ns["BreakerCheck"] - ns["AtomicLoad"]))
    print("allocations once warm: %g" % allocated)
    return beyond <= 10 and ratio <= 1.2 and allocated == 0


def smoke_engine():
    done = subprocess.run([BENCH / "engine_bench", "--benchmark_filter=n:64|mfn_spots/n:256/formed:0|RunLent/n:256",
                           "--benchmark_min_time=0.001", "--benchmark_format=json"],
                          capture_output=True, text=True, timeout=300, check=True)
    runs = json.loads(done.stdout)["benchmarks"]
    failed = [run["name"] for run in runs if run.get("error_occurred") or not run["cell_steps"] > 0]
    print("engine_bench: %d rows, %d failed" % (len(runs), len(failed)))
    return bool(runs) and not failed


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "rpc":
        bench_rpc()
    elif what == "pipeline":
        bench_pipeline()
    elif what == "guard":
        sys.exit(0 if bench_guard() else 1)
    elif what == "smoke":
        bench_guard(repetitions=1, seconds=0.001)  # of no meaning: only whether it runs
        bench_rpc(calls=200, rounds=1)
        bench_pipeline(count=50, grid=16, steps=8, rounds=1)
        sys.exit(0 if smoke_engine() else 1)
    else:
        sys.exit(__doc__)
