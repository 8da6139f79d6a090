#!/usr/bin/env python3
"""clang-format, and clang-tidy with clang's thread-safety analysis, over the project's own sources.

    lint.py format|tidy|tidy-all|python

tidy looks at what every pipeline runs; tests and the gRPC services, whose headers take clang-tidy a
quarter of an hour on two cores, are looked at by tidy-all, by hand.

A file whose text, headers and compile command have not changed since it was last clean is not
looked at again (build/<preset>/lint holds a stamp for each).
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ["MFN_ROOT"])
BUILD = pathlib.Path(os.environ["MFN_BUILD"])
STAMPS = BUILD / "lint"
CPP = re.compile(r"\.(cc|h|hpp|c)$")
TIDIED = re.compile(r"(server/(base|engine|resilience|registry|store|pipeline)|plugins)/(?!.*_test(_util|_support)?\.cc)")


def own_files(pattern):
    """Tracked files and new ones that git does not ignore."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if pattern.search(name) and (ROOT / name).exists()]


def check_format():
    done = subprocess.run(["clang-format-16", "--dry-run", "-Werror", *own_files(CPP)], cwd=ROOT)
    return done.returncode


def check_python():
    """Every Python file compiles; so does every shell script."""
    bad = 0
    for name in own_files(re.compile(r"\.py$")):
        try:
            compile((ROOT / name).read_text(), name, "exec")
        except SyntaxError as error:
            print(error)
            bad += 1
    for name in own_files(re.compile(r"^(deploy/(deps|quickstart)|tests/run|tests/fuzz/long|\.ci/run)$")):
        bad += subprocess.run(["bash", "-n", ROOT / name]).returncode
    return bad


def quoted_includes(path, seen):
    """The project's headers that a source includes, directly or through one another."""
    for name in re.findall(r'#include ["<]([^">]+)[">]', path.read_text(errors="replace")):
        for base in (ROOT, ROOT / "sdk/include", path.parent):
            header = base / name
            if header.exists() and header not in seen:
                seen.add(header)
                quoted_includes(header, seen)
                break
    return seen


def stamp_of(entry):
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes() + pathlib.Path(__file__).read_bytes())
    source = pathlib.Path(entry["file"])
    digest.update(entry["command"].encode())
    for path in [source, *sorted(quoted_includes(source, set()))]:
        digest.update(path.read_bytes())
    return STAMPS / digest.hexdigest()


def tidy(entry):
    """Returns what is wrong with one source, or an empty string."""
    stamp = stamp_of(entry)
    if stamp.exists():
        return ""
    done = subprocess.run(
        ["clang-tidy-16", "--quiet", "-p", BUILD, "--extra-arg=-Wthread-safety",
         "--extra-arg=-Wno-unknown-warning-option", entry["file"]],
        capture_output=True, text=True)
    if done.returncode == 0:
        stamp.touch()
        return ""
    return done.stdout + "\n".join(l for l in done.stderr.splitlines() if "error" in l)


def check_tidy(everything=False):
    STAMPS.mkdir(exist_ok=True)
    own = set(own_files(CPP))
    entries = [e for e in json.loads((BUILD / "compile_commands.json").read_text())
               if os.path.relpath(e["file"], ROOT) in own
               and (everything or TIDIED.match(os.path.relpath(e["file"], ROOT)))]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for entry, text in zip(entries, pool.map(tidy, entries)):
            if text:
                bad += 1
                print("%s:\n%s" % (os.path.relpath(entry["file"], ROOT), text))
    print("%d sources, %d with findings" % (len(entries), bad))
    return bad or not entries


if __name__ == "__main__":
    checks = {"format": check_format, "tidy": check_tidy, "tidy-all": lambda: check_tidy(everything=True),
              "python": check_python}
    if sys.argv[1] == "tidy" and os.environ.get("MFN_SANITIZE"):
        print("SKIP: a sanitizer changes the program, not its sources; the other presets look at them")
        sys.exit(77)
    sys.exit(1 if checks[sys.argv[1]]() else 0)
