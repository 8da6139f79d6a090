#!/usr/bin/env python3
"""The way from nothing to a loaded plugin that sdk/README.md shows: each command is run."""
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from mfnd import BUILD, ROOT, Mfnd, run_tests, wait_until

spec = importlib.util.spec_from_file_location("docs", ROOT / "tests/docs/readme_test.py")
docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs)

TEXT = (ROOT / "sdk/README.md").read_text()


class Shell:
    """Runs the README's commands with its folders put into a temporary one."""

    def __init__(self, work):
        self.work = work
        self.exports = ""
        self.server = None

    def local(self, text):
        for name in ("sdk", "my-plugin"):
            text = text.replace("$PWD/build/" + name, "build/" + name).replace("build/" + name, str(self.work / name))
        text = text.replace("build/release", str(BUILD))
        return text.replace("127.0.0.1:50051", self.server.address) if self.server else text

    def run(self, command):
        path = "%s:%s" % (ROOT / "build/deps/bin", os.environ["PATH"])
        done = subprocess.run(["bash", "-c", self.exports + self.local(command)], cwd=ROOT, text=True,
                              env=dict(os.environ, PATH=path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=100)
        return done.returncode, done.stdout.replace(str(self.work), "build")


def expect(shell, command, expected):
    """The command succeeds and prints what the README says, at the latest in a while."""
    said = []

    def as_written():
        code, output = shell.run(command)
        said[:] = [output]
        assert code == 0, "$ %s\n%s" % (command, output)
        return docs.pattern(expected).search(output.rstrip() + "\n")

    try:
        wait_until(as_written, command, seconds=10 if "grpcurl" in command else 0)
    except AssertionError as error:
        raise AssertionError("%s\nprinted\n%s\nbut sdk/README.md says\n%s" % (error, said, expected)) from error


def test_ten_minutes():
    work = pathlib.Path(tempfile.mkdtemp(prefix="mfn-sdk-readme-"))
    work.chmod(0o755)
    shell = Shell(work)
    [config] = docs.blocks("yaml", TEXT)
    seen = 0
    try:
        for command, expected in docs.commands(TEXT):
            seen += 1
            if command.endswith("&"):
                text = config.replace("127.0.0.1:50051", "127.0.0.1:0")
                shell.server = Mfnd(text, directory=work / "my-plugin").start()
            elif command.startswith("export "):
                shell.exports += shell.local(command) + "\n"
            else:
                expect(shell, command, expected)
            if command.startswith("cp -r"):
                (work / "my-plugin/mfnd.yaml").write_text(config)
        assert seen >= 10, "only %d commands found in sdk/README.md" % seen
    finally:
        if shell.server:
            shell.server.stop()
        shutil.rmtree(work)


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
