#!/usr/bin/env python3
"""A plugin by a stranger: the SDK is installed, a starter is copied elsewhere, built with CMake and
with the C compiler alone, checked, and loaded by an installed mfnd.
"""
import atexit
import base64
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import mfnd
from mfnd import BUILD, ROOT, Mfnd, run_tests
from plugin_check import READING, WRITING, must_pass

WORK = pathlib.Path(tempfile.mkdtemp(prefix="mfn-sdk-"))
WORK.chmod(0o755)
atexit.register(shutil.rmtree, WORK, ignore_errors=True)


def run(*command, cwd=None, env=None, code=0):
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=dict(os.environ, **(env or {})),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200)
    assert done.returncode == code, "%s exits with %d:\n%s" % (command, done.returncode, done.stdout)
    return done.stdout


@functools.cache
def installed(component):
    """The prefix where that part of the build is installed."""
    run("cmake", "--install", BUILD, "--component", component, "--prefix", WORK / component)
    return WORK / component


def templates():
    return installed("sdk") / "share/mfn/template"


def exported(plugin):
    lines = run("nm", "-D", "--defined-only", plugin).splitlines()
    return [line.split()[-1] for line in lines]


@functools.cache
def built(template):
    """A copy of that starter, built against the installed SDK: its shared object."""
    source, build = WORK / template, WORK / template / "build"
    shutil.copytree(templates() / template, source)
    run("cmake", "-S", source, "-B", build, "-DCMAKE_PREFIX_PATH=%s" % installed("sdk"))
    run("cmake", "--build", build)
    return build / "mfn-starter.so"


def pkg_config(*arguments):
    path = installed("sdk") / "share/pkgconfig"
    flags = run("pkg-config", *arguments, "mfn-sdk", env={"PKG_CONFIG_PATH": str(path)})
    return flags.split()


def test_the_prefix_holds_what_a_stranger_needs():
    sdk = installed("sdk")
    for name in ("include/mfn/plugin.h", "include/mfn/plugin.hpp", "include/mfn/testing.hpp",
                 "share/cmake/mfn-sdk/plugin.map", "share/mfn/template/c/plugin.c", "bin/mfn-plugin-check"):
        assert (sdk / name).is_file(), name
    text = "".join(p.read_text(errors="replace") for p in (sdk / "share").rglob("*") if p.is_file())
    assert str(ROOT) not in text, "the installed files name the tree that they came from"


def test_a_package_of_another_major_is_refused():
    source = WORK / "major"
    source.mkdir()
    for wanted, code in (("1.0", 0), ("1", 0), ("2", 1), ("1.99", 1)):
        (source / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.20)\nproject(x LANGUAGES NONE)\n"
            "find_package(mfn-sdk %s REQUIRED)\n" % wanted)
        run("cmake", "-S", source, "-B", source / wanted, "-DCMAKE_PREFIX_PATH=%s" % installed("sdk"),
            code=code)


def test_the_starters_build_elsewhere_and_pass_the_check():
    for template, tried in (("cpp", READING + WRITING), ("c", ("execute.requests",))):
        must_pass(built(template), tried=tried + ("exports", "config.fuzz"))
    # Their own test is mfn-plugin-check too, found beside the package.
    run("ctest", "--test-dir", WORK / "c/build", "--output-on-failure", "--no-tests=error")


def test_a_compiler_and_pkg_config_are_enough():
    plugin = WORK / "plain.so"
    run("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", *pkg_config("--cflags"), "-o", plugin,
        templates() / "c/plugin.c", *pkg_config("--libs"))
    assert exported(plugin) == ["mfn_plugin_entry_v1"]
    assert pkg_config("--modversion")[0].startswith("1.")


def test_an_installed_mfnd_loads_and_drives_them():
    prefix = installed("server")
    plugins = prefix / "lib/mfnd/plugins"
    assert sorted(p.name for p in plugins.iterdir()) == ["mfn-file.so", "mfn-memory.so"]
    for template in ("cpp", "c"):
        shutil.copy(built(template), plugins / ("mfn-starter-%s.so" % template))
    mfnd.MFND = prefix / "bin/mfnd"
    config = """
server: {listen: "127.0.0.1:0", state_dir: "{dir}/state"}
connectors:
  - {name: answers, connector_type: echo}
  - {name: numbers, connector_type: counter, config_data: {limit: 3}}
publishers:
  - {name: counted, publisher_type: counter}
pipelines:
  - {name: count, source: numbers, processor: passthrough, sinks: [counted]}
"""
    with Mfnd(config) as server:
        types = [component["type"] for plugin in server.call("mfn.v1.PluginService/ListPlugins")["plugins"]
                 for component in plugin["components"]]
        assert sorted(types) == ["counter", "echo", "file", "memory"], types
        payload = base64.b64encode(b"hello").decode()
        reply = server.call("mfn.v1.ConnectorService/ExecuteConnector",
                            {"name": "connectors/answers", "record": {"payload": payload}})
        assert reply["records"][0]["payload"] == payload, reply

        def delivered():
            status = server.call("mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/count"})["status"]
            return int(status["conservation"].get("delivered", 0)) == 3

        mfnd.wait_until(delivered, "3 numbers to reach the sink")


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
