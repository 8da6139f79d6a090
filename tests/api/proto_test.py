#!/usr/bin/env python3
"""buf lint over proto/, and buf breaking against the released API (released.json beside this file).

released.json is an image of the API as of the last release. It is made anew at a release only:
    build/deps/npm/node_modules/.bin/buf build proto -o tests/api/released.json
"""
import pathlib
import subprocess
import sys

from mfnd import ROOT, run_tests

BUF = ROOT / "build/deps/npm/node_modules/.bin/buf"
RELEASED = pathlib.Path(__file__).parent / "released.json"


def buf(*arguments):
    return subprocess.run([BUF, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_lint():
    done = buf("lint", "proto")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_breaking_change_since_the_release():
    done = buf("breaking", "proto", "--against", str(RELEASED))
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
