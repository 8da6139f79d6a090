#!/usr/bin/env python3
"""Turns CTest's JUnit files into what a person wants to read last.

    summarize.py BUILD...     each holds junit.xml and ctest.log

Prints each failure with its output, each skip with its reason, the slowest tests, and as the last
line "N passed, N failed" (", N skipped"). Exit code 0 only if something ran and nothing failed.
"""
import os
import re
import sys
import xml.etree.ElementTree as ElementTree


def skip_reason(output):
    """The test's own words: a script's 'SKIP: why' line, or GoogleTest's message after the file:line."""
    match = re.search(r"^SKIP: (.*)$", output, re.M) or re.search(r"Skipped\n(.*)\n", output)
    return match.group(1).strip() if match else "no reason given"


def cases_of(build):
    """The test cases of one build's run; exits when CTest left none that can be read."""
    try:
        return ElementTree.parse(os.path.join(build, "junit.xml")).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError) as error:
        log = os.path.join(build, "ctest.log")
        print(open(log, encoding="utf-8", errors="replace").read()[-4000:])
        print("summarize: no test results: %s" % error)
        print("0 passed, 1 failed")
        sys.exit(1)


def main(builds):
    passed, failed, skipped = [], [], []
    for case in (case for build in builds for case in cases_of(build)):
        name, seconds = case.get("name"), float(case.get("time") or 0)
        output = (case.findtext("system-out") or "").strip()
        status = case.get("status")
        if case.find("failure") is not None or status == "fail":
            failed.append((name, output))
        elif case.find("skipped") is not None or status in ("notrun", "disabled"):
            skipped.append((name, skip_reason(output)))
        else:
            passed.append((name, seconds))
    for name, output in failed:
        print("---- FAILED %s\n%s\n" % (name, output[-6000:]))
    for name, reason in skipped:
        print("SKIPPED %s: %s" % (name, reason))
    if not passed and not failed:
        print("no test matches; ctest --test-dir %s -N lists their names" % builds[0])
    slowest = sorted(passed, key=lambda item: -item[1])[:5]
    print("slowest: " + ", ".join("%s %.1f s" % item for item in slowest))
    for name, _ in failed:
        print("FAILED %s" % name)
    line = "%d passed, %d failed" % (len(passed), len(failed))
    print(line + (", %d skipped" % len(skipped) if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
