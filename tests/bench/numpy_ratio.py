#!/usr/bin/env python3
"""The engine against NumPy doing the same, measured in turn (A B A B ...) in one session.

    tests/bench/numpy_ratio.py [rounds]

The NumPy way is ../shared/bench/numpy_baseline.py beside this repository (or $NUMPY_BASELINE); it runs
under NumPy 1.24.2, in a virtual environment that is made in build/numpy if it is not there (or under
$NUMPY_PYTHON). Prints every round and the medians; one thread is measured in its processor time on
both sides, two in elapsed time. Only the ratios mean anything beyond this machine.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MFN_BUILD", ROOT / "build" / "release"))
BASELINE = pathlib.Path(os.environ.get("NUMPY_BASELINE", ROOT.parent / "shared" / "bench" / "numpy_baseline.py"))

# Loads the baseline and times one call of it: seed to result.
TIME_ONE = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("baseline", sys.argv[1])
b = importlib.util.module_from_spec(spec)
spec.loader.exec_module(b)
n, steps, features, jitter = (int(x) for x in sys.argv[2:6])
clock = time.perf_counter if sys.argv[6] == "elapsed" else time.process_time
def run(seed):
    frames = b.simulate(n, steps, seed=seed, jitter=bool(jitter), history=bool(features))[4]
    if features:
        b.features(frames)
run(0)
best = []
for seed in (1, 2):
    start = clock()
    run(seed)
    best.append(clock() - start)
print(min(best))
"""
TIME_NORMALS = """
import time
import numpy as np
rng = np.random.default_rng(1)
best = 1e9
for _ in range(50):
    start = time.process_time()
    rng.normal(0.0, 1.0, 65536)
    best = min(best, time.process_time() - start)
print(best / 65536)
"""

# What it is, side, steps, features, jitter, threads on one grid, floor, aim.
ROWS = (
    ("64 x 64, 64 steps, 18 features", 64, 64, True, False, 1, 50, 85),
    ("128 x 128, 100 steps", 128, 100, False, False, 1, 28, 36),
    ("256 x 256, 100 steps", 256, 100, False, False, 1, 28, 40),
    ("512 x 512, 100 steps", 512, 100, False, False, 1, 33, 45),
    ("512 x 512, 100 steps, 2 threads", 512, 100, False, False, 2, 58, 80),
    ("256 x 256, 100 steps, jitter", 256, 100, False, True, 1, 7, 20),
)


def python():
    """A Python with the NumPy that the numbers are promised for."""
    if "NUMPY_PYTHON" in os.environ:
        return os.environ["NUMPY_PYTHON"]
    home = ROOT / "build" / "numpy"
    if not (home / "bin" / "python").exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", "numpy==1.24.2"], check=True)
    return home / "bin" / "python"


def output(*command):
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def engine_seconds(side, steps, features, jitter, threads):
    flags = [] if features else ["plain"]
    flags += ["jitter"] if jitter else []
    flags += ["grid"] if threads > 1 else []
    count = max(2, 30_000_000 // (side * side * steps))
    best = max(float(output(BUILD / "bench" / "engine_alone", count, side, steps, threads, *flags)) for _ in range(3))
    return 1.0 / best


def compare(what, rounds, ours, theirs, floor, aim):
    ratios = []
    for _ in range(rounds):
        numpy_s, engine_s = theirs(), ours()
        ratios.append(numpy_s / engine_s)
        print("  NumPy %.4g s, engine %.4g s, ratio %.1f" % (numpy_s, engine_s, ratios[-1]), flush=True)
    median = statistics.median(ratios)
    verdict = "aim reached" if median >= aim else "floor reached" if median >= floor else "BELOW THE FLOOR"
    print("%s: median %.1f (%.1f to %.1f), floor %g, aim %g: %s"
          % (what, median, min(ratios), max(ratios), floor, aim, verdict), flush=True)


def normals_seconds():
    """Of one normal, from the benchmark of the engine."""
    text = output(BUILD / "bench" / "engine_bench", "--benchmark_filter=BM_Normals", "--benchmark_format=json",
                  "--benchmark_repetitions=5", "--benchmark_min_time=0.05")
    runs = [b for b in json.loads(text)["benchmarks"] if b["run_type"] == "iteration"]
    return min(b["cpu_time"] for b in runs) * 1e-9 / 65536


def beside(rounds):
    """Two small simulations side by side against one alone."""
    ratios = []
    for _ in range(rounds):
        one, two = (float(output(BUILD / "bench" / "engine_alone", 4000, 64, 64, k, "elapsed")) for k in (1, 2))
        ratios.append(two / one)
    print("two 64 x 64 at once against one: median %.2f, floor 1.9" % statistics.median(ratios), flush=True)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    beside(rounds)
    if not BASELINE.exists():
        sys.exit("%s is not there: name the NumPy baseline in NUMPY_BASELINE" % BASELINE)
    interpreter = python()
    compare("normals", rounds, normals_seconds, lambda: float(output(interpreter, "-c", TIME_NORMALS)), 2.8, 6)
    for what, side, steps, features, jitter, threads, floor, aim in ROWS:
        clock = "elapsed" if threads > 1 else "cpu"
        compare(what, rounds, lambda: engine_seconds(side, steps, features, jitter, threads),
                lambda: float(output(interpreter, "-c", TIME_ONE, BASELINE, side, steps, int(features), int(jitter),
                                     clock)),
                floor, aim)


if __name__ == "__main__":
    main()
