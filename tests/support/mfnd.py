"""Starts the real mfnd for a scenario and stops it by process id.

    with Mfnd(config_text) as server:            # on a free port, in a temporary folder
        server.call("mfn.v1.SimulationService/Run", {"seed": 42})

Also run_tests, which turns a module's test_* functions into a script for CTest.
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
import time
import traceback
import urllib.error
import urllib.request

ROOT = pathlib.Path(os.environ["MFN_ROOT"])
BUILD = pathlib.Path(os.environ["MFN_BUILD"])
MFND = BUILD / "bin" / "mfnd"
PLUGINS = BUILD / "plugins"
GRPCURL = ROOT / "build" / "deps" / "bin" / "grpcurl"


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


def wait_until(condition, what, seconds=60):
    """Polls until condition() is true; fails loudly after the bound."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited %g s for: %s" % (seconds, what))
        time.sleep(0.01)


class Mfnd:
    """One server process. config is YAML text; {dir} and {plugins} in it are replaced."""

    def __init__(self, config, directory=None, env=None, arguments=()):
        self.owns_directory = directory is None
        self.dir = pathlib.Path(directory or tempfile.mkdtemp(prefix="mfnd-test-"))
        self.config = self.dir / "mfnd.yaml"
        self.config.write_text(config.replace("{dir}", str(self.dir)).replace("{plugins}", str(PLUGINS)))
        self.port_file = self.dir / "port"
        self.log_path = self.dir / "mfnd.log"
        self.env = dict(os.environ, **(env or {}))
        self.arguments = list(arguments)
        self.process = None

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            self.port_file.unlink()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [MFND, "--config", self.config, "--port-file", self.port_file, *self.arguments],
                stdout=log, stderr=log, env=self.env)

        def serving():
            if self.process.poll() is not None:
                raise AssertionError("mfnd ended with %s:\n%s" % (self.process.returncode, self.log()))
            return self.port_file.exists() and self.port_file.stat().st_size > 0

        wait_until(serving, "mfnd to listen")
        self.address = "127.0.0.1:" + self.port_file.read_text().strip()
        return self

    def log(self):
        return self.log_path.read_text(errors="replace")

    def http_address(self):
        """Of server.http, as mfnd prints it: "http://127.0.0.1:9464"."""
        wait_until(lambda: "metrics and health on http://" in self.log(), "the HTTP address")
        return self.log().rsplit("metrics and health on ", 1)[1].split()[0]

    def http(self, path, headers=None):
        """GET from there; returns (status, text)."""
        request = urllib.request.Request(self.http_address() + path, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, bound=60):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(bound)

    def call(self, method, request=None, headers=()):
        """One grpcurl call; returns the reply. Several replies of a stream: a list. Raises RpcError."""
        return grpcurl(self.address, method, request, headers)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if self.process and self.process.poll() is None:
            self.kill()
        if self.owns_directory:
            shutil.rmtree(self.dir, ignore_errors=True)


class RpcError(Exception):
    """What grpcurl printed of an error: code, message and details are in the text."""


def grpcurl(address, method, request=None, headers=()):
    command = [GRPCURL, "-plaintext", "-max-time", "60", "-max-msg-sz", str(64 << 20)]
    for header in headers:
        command += ["-H", header]
    command += ["-d", "@", address, method]
    text = json.dumps(request or {}) if not isinstance(request, list) else "\n".join(map(json.dumps, request))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RpcError(done.stderr + done.stdout)
    replies, decoder, rest = [], json.JSONDecoder(), done.stdout.strip()
    while rest:
        reply, end = decoder.raw_decode(rest)
        replies.append(reply)
        rest = rest[end:].lstrip()
    return replies[0] if len(replies) == 1 else replies


def conservation(server, pipeline):
    """The pipeline's counters once nothing is on its way; fails unless they add up."""
    counts = {}

    def settled():
        status = server.call("mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/" + pipeline})["status"]
        counts.update({k: int(v) for k, v in status["conservation"].items() if not isinstance(v, dict)})
        return counts["in_flight"] == counts["parked"] == 0

    wait_until(settled, "%s to settle" % pipeline)
    assert counts["received"] == sum(counts[k] for k in ("delivered", "dead_lettered", "dropped", "returned")), counts
    return counts


def read_jsonl(folder):
    """Every complete line of every .jsonl below the folder."""
    rows = []
    for path in sorted(pathlib.Path(folder).rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
    return rows


def drop(folder, name, text):
    """Puts a file into an inbox as a careful writer does: under an ignored name, then renamed."""
    part = pathlib.Path(folder) / (name + ".part")
    part.write_text(text)
    part.rename(pathlib.Path(folder) / name)


def run_tests(module):
    """Runs every test_* function; exits 1 on a failure, 77 if all were skipped."""
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and (not wanted or n in wanted)]
    failed = skipped = 0
    for name, test in tests:
        started = time.monotonic()
        try:
            test()
            print("ok      %s (%.1f s)" % (name, time.monotonic() - started), flush=True)
        except Skip as reason:
            skipped += 1
            print("SKIP: %s: %s" % (name, reason), flush=True)
        except Exception:
            failed += 1
            print("FAILED  %s" % name, flush=True)
            traceback.print_exc(file=sys.stdout)
    if not tests:
        print("no test named %s" % wanted)
    sys.exit(1 if failed or not tests else 77 if skipped == len(tests) else 0)
