#!/usr/bin/env python3
"""One part of the server can be configured without the others (MFN_ONLY), its tests included."""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(os.environ["MFN_ROOT"])
# Each part with those that it needs, and tests that must be among the targets.
PARTS = {
    "engine": ["engine_features_test"],
    "base;resilience;engine": ["resilience_test", "resilience_cost_test"],
    "base;resilience;store;registry": ["registry_test", "registry_stuck_call_test", "bad_plugins_test",
                                       "mfn-plugin-probe"],
}


def main():
    bad = 0
    for only, wanted in PARTS.items():
        with tempfile.TemporaryDirectory() as build:
            done = subprocess.run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DMFN_ONLY=" + only],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                print("MFN_ONLY=%s does not configure:\n%s" % (only, done.stderr))
                bad += 1
                continue
            # Without compiling: a target that depends on what is not there is found here, too.
            plan = subprocess.run(["ninja", "-C", build, "-n", "all"], capture_output=True, text=True)
            libraries = subprocess.run(["ninja", "-C", build, "-t", "commands", "all"], capture_output=True,
                                       text=True).stdout
            missing = [name for name in wanted if "/%s" % name not in libraries]
            loose = [word for word in set(libraries.split()) if word.startswith("-lmfn_")]
            if plan.returncode != 0 or missing or loose:
                print("MFN_ONLY=%s: not among the targets: %s; linked and not there: %s\n%s"
                      % (only, missing, loose, plan.stderr))
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
