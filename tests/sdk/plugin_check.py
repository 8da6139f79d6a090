"""Runs mfn-plugin-check for the tests of this folder."""
import atexit
import functools
import json
import pathlib
import shutil
import subprocess
import tempfile

from mfnd import BUILD, ROOT

CHECK = BUILD / "bin/mfn-plugin-check"
# The cases that a source with records, and a sink, must have been tried in.
READING = ("read.limits", "read.ids", "read.same_ids", "read.release", "ack", "read.deadline")
WRITING = ("write.records", "write.borrowed", "flush")

WORK = pathlib.Path(tempfile.mkdtemp(prefix="mfn-check-test-"))
atexit.register(shutil.rmtree, WORK, ignore_errors=True)


def check(plugin, *flags, config=None):
    """The exit code and the report of a run, as JSON."""
    flags = list(map(str, flags))
    if config is not None:
        path = WORK / ("config-%d.json" % abs(hash(json.dumps(config))))
        path.write_text(json.dumps(config))
        flags += ["--config", str(path)]
    done = subprocess.run([CHECK, "--json", *flags, plugin], capture_output=True, text=True, timeout=200)
    assert done.returncode in (0, 1), "%s %s:\n%s" % (plugin, flags, done.stderr + done.stdout)
    return done.returncode, json.loads(done.stdout)


def verdicts(report, verdict):
    return {case["case"]: case["text"] for case in report["cases"] if case["verdict"] == verdict}


@functools.cache
def defective(*defines):
    """The shared object of testdata/defective.c with those macros."""
    out = WORK / ("defective-%s.so" % "-".join(filter(str.isalnum, "".join(defines))))
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden",
                    "-I", ROOT / "sdk/include", *["-DDEFECT_" + d for d in defines], "-o", out,
                    ROOT / "sdk/conformance/testdata/defective.c"], check=True)
    return out


def must_pass(plugin, config=None, tried=()):
    """No case fails, and those in `tried` were not skipped."""
    code, report = check(plugin, config=config)
    failed = verdicts(report, "FAILED")
    assert code == 0 and not failed, "%s: %s" % (plugin, failed)
    untried = set(tried) - set(verdicts(report, "ok"))
    assert not untried, "%s: not tried: %s of %s" % (plugin, untried, report["cases"])
