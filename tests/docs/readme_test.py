#!/usr/bin/env python3
"""Every command that README.md shows is run, and prints what README.md says.

A ```console block holds lines "$ command" (with \\ continuations), each followed by its output, in
which "…" stands for anything within a line, and a line of "…" alone for any lines. Commands run in the repository's
folder against one server with the quickstart's configuration, its address put in place of
127.0.0.1:50051 and 127.0.0.1:9464, and its folder in place of build/quickstart. tests/run itself is not run again from here; its block is checked for
form. Blocks of other languages are checked where a program can: yaml by mfnd --check, c++ by building it as a plugin.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from mfnd import BUILD, PLUGINS, ROOT, Mfnd, run_tests

README = (ROOT / "README.md").read_text()


def blocks(language, text=README):
    return re.findall(r"^```%s\n(.*?)^```$" % re.escape(language), text, re.M | re.S)


def commands(text=README):
    """(command, expected output) of every console block, in order."""
    for block in blocks("console", text):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            match = re.match(r"((?:.*\\\n)*.*)\n?((?:.|\n)*)", part)
            yield match.group(1), match.group(2)


def pattern(expected):
    """A regular expression for an expected output: runs of blanks are one, the ellipsis is anything."""
    lines = []
    for line in expected.strip().splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
            continue
        words = [r".*?".join(map(re.escape, word.split("…"))) for word in line.split()]
        lines.append(r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*\n")
    return re.compile("".join(lines))


def run(command, server, work):
    text = command.replace("127.0.0.1:50051", server.address).replace("build/quickstart", str(work))
    if "127.0.0.1:9464" in text:
        text = text.replace("http://127.0.0.1:9464", server.http_address())
    text = text.replace("build/release", os.path.relpath(BUILD, ROOT))
    text = re.sub(r"^deploy/quickstart\b", "deploy/quickstart --port 0", text)
    path = "%s:%s" % (ROOT / "build/deps/bin", os.environ["PATH"])
    done = subprocess.run(["bash", "-c", text], cwd=ROOT, env=dict(os.environ, PATH=path), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=800)
    return done.stdout


def test_console_blocks():
    work = pathlib.Path(tempfile.mkdtemp(prefix="mfnd-readme-"))
    for name in ("inbox", "outbox"):
        (work / name).mkdir()
    env = {"MFN_QUICKSTART_DIR": str(work), "MFN_QUICKSTART_LISTEN": "127.0.0.1:0",
           "MFN_QUICKSTART_HTTP": "127.0.0.1:0", "MFN_PLUGIN_DIR": str(PLUGINS)}
    seen = 0
    try:
        with Mfnd((ROOT / "deploy/quickstart.yaml").read_text(), env=env) as server:
            for command, expected in commands():
                seen += 1
                if command.startswith("tests/run"):
                    assert re.search(r"^\d+ passed, 0 failed", expected, re.M), expected
                    continue
                if command.startswith(("git clone", "cd ")):
                    continue
                if command.startswith("deploy/quickstart") and BUILD.name != "release":
                    continue
                output = run(command, server, work).replace(str(work), "build/quickstart")
                output = output.replace(server.address, "127.0.0.1:50051")
                assert pattern(expected).search(output.rstrip() + "\n"), (
                    "$ %s\nprinted\n%s\nbut README.md says\n%s" % (command, output, expected))
                print("    $ " + command.splitlines()[0], flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    assert seen >= 8, "only %d commands found in README.md" % seen


def test_yaml_blocks_are_valid_configurations():
    assert blocks("yaml")
    for text in blocks("yaml"):
        folder = tempfile.mkdtemp(prefix="mfnd-readme-")
        try:
            path = pathlib.Path(folder) / "readme.yaml"
            path.write_text(text)
            done = subprocess.run([BUILD / "bin/mfnd", "--check", "--config", path], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        finally:
            shutil.rmtree(folder)


def test_the_plugin_in_the_readme_builds():
    assert blocks("c++")
    for text in blocks("c++"):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mfnd-readme-"))
        try:
            (folder / "plugin.cc").write_text(text)
            done = subprocess.run(
                ["c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden",
                 "-I", ROOT / "sdk/include", "-o", folder / "plugin.so", folder / "plugin.cc"],
                capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            symbols = subprocess.run(["nm", "-D", folder / "plugin.so"], capture_output=True, text=True).stdout
            assert " T mfn_plugin_entry_v1" in symbols, symbols
        finally:
            shutil.rmtree(folder)


def test_folders_in_the_readme_exist():
    rows = re.findall(r"^\| `([^`]+)/?` \|", README, re.M)
    assert len(rows) >= 6, rows
    for row in rows:
        assert (ROOT / row).exists(), "README.md names %s, which is not there" % row


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
