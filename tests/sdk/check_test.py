#!/usr/bin/env python3
"""mfn-plugin-check passes every plugin of the tree, and tells wrong use from a wrong plugin."""
import os
import subprocess
import sys

from mfnd import PLUGINS, Skip, run_tests
from plugin_check import CHECK, READING, WORK, WRITING, defective, must_pass


def test_the_plugins_of_the_tree_pass():
    if os.environ["MFN_SANITIZE"]:
        raise Skip("memory and crashes look different under a sanitizer; the release preset checks them")
    inbox = WORK / "inbox"
    inbox.mkdir()
    for i in range(9):
        (inbox / ("%d.json" % i)).write_text('{"request_id": "r%d"}' % i)
    file, memory = PLUGINS / "mfn-file.so", PLUGINS / "mfn-memory.so"
    must_pass(file, {"path": str(inbox), "settle_ms": 0}, READING + ("cancel.read",))
    must_pass(file, {"path": "out", "format": "jsonl", "filename": "all.jsonl"}, WRITING)
    must_pass(memory, {"queue": "q", "requests": [{"request_id": "a"}, {"request_id": "b"}], "repeat": 5},
              WRITING + ("execute.requests", "write.at_once", "read.limits", "cancel.read"))


def test_wrong_use_is_told_apart():
    for arguments in ([], ["--no-such-flag", "x"], ["/no/such/file.so"], ["--seed", "x", CHECK],
                      ["--config", CHECK, CHECK], ["--component", "x", defective()]):
        done = subprocess.run([CHECK, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "mfn-plugin-check: " in done.stderr, (arguments, done)
    listed = subprocess.run([CHECK, "--list"], capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) >= 30, listed


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
