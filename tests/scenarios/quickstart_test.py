#!/usr/bin/env python3
"""deploy/quickstart as a user runs it: its output, its exit code, that nothing stays behind."""
import os
import re
import signal
import subprocess
import sys

from mfnd import ROOT, Skip, run_tests, wait_until

QUICKSTART = ROOT / "deploy" / "quickstart"


def need_release():
    if os.environ["MFN_BUILD"] != str(ROOT / "build" / "release"):
        raise Skip("quickstart builds the release preset; this run tests another")


def servers():
    found = subprocess.run(["pgrep", "-f", "deploy/quickstart.yaml"], capture_output=True, text=True)
    return found.stdout.split()


def test_runs_from_any_directory_and_leaves_nothing_running():
    need_release()
    done = subprocess.run([QUICKSTART, "--port", "0"], cwd="/", capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if re.match(r"(defaults|small-grid|jitter|large|batch-[abc]|many-spikes) ", line)]
    assert len(rows) == 8, done.stdout
    # id, grid, steps, growth events and mean potential of the reference's default run (seed 42)
    assert re.search(r"^defaults +64 +64 +14 +-70\.031 ", done.stdout, re.M), done.stdout
    assert "grpcurl -plaintext" in done.stdout
    assert not servers()


def test_serve_keeps_serving_until_interrupted():
    need_release()
    process = subprocess.Popen([QUICKSTART, "--serve", "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C stops it" in line:
            break
    assert servers(), "".join(lines)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 0
    wait_until(lambda: not servers(), "the server to be gone")


def test_port_taken_says_so():
    need_release()
    import socket
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([QUICKSTART, "--port", port], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout
    assert "failed while starting mfnd" in done.stderr and port in done.stderr, done.stderr


def test_bad_arguments():
    done = subprocess.run([QUICKSTART, "--nonsense"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "--nonsense" in done.stderr
    done = subprocess.run([QUICKSTART, "--port", "many"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "many" in done.stderr


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
