#!/usr/bin/env python3
"""What goes wrong in real life: a clear error that names the field and the bound, the server up.

Each case asserts the words an operator needs, not only that something failed.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

from mfnd import MFND, PLUGINS, Mfnd, RpcError, drop, read_jsonl, run_tests, wait_until

SERVER = 'server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}\n'
FILE_TO_FILE = SERVER + """
connectors:
  - {name: inbox, connector_type: file, config_data: {path: "{dir}/inbox", mode: watch, afterwards: archive, archive_dir: "{dir}/archive"}}
publishers:
  - {name: outbox, publisher_type: file, batch_timeout_ms: 5, config_data: {path: "{dir}/outbox", format: jsonl, filename: results.jsonl}}
pipelines:
  - {name: main, source: inbox, sinks: [outbox]}
"""


def check(text, *words, arguments=("--check",), code=1):
    """mfnd --check on a configuration must fail and say all the words."""
    folder = tempfile.mkdtemp(prefix="mfnd-check-")
    try:
        path = os.path.join(folder, "bad.yaml")
        with open(path, "w") as out:
            out.write(text.replace("{dir}", folder).replace("{plugins}", str(PLUGINS)))
        done = subprocess.run([MFND, "--config", path, *arguments], capture_output=True, text=True, timeout=60)
        output = done.stdout + done.stderr
        assert done.returncode == code, "exit code %d:\n%s" % (done.returncode, output)
        for word in words:
            assert word in output, "%r is not in:\n%s" % (word, output)
    finally:
        shutil.rmtree(folder)


def test_config_that_is_not_yaml():
    check("connectors: [\n  - name: {", "bad.yaml:")


def test_config_with_unknown_plugin_type():
    check(SERVER + "connectors:\n  - name: api\n    connector_type: telepathy\n", "bad.yaml:3", "telepathy", "file")


def test_config_with_unknown_key():
    check(SERVER + "connectors:\n  - name: api\n    connector_type: file\n    tiemout_ms: 5\n", "bad.yaml:5", "tiemout_ms")


def test_config_with_unknown_plugin_option():
    check(SERVER + "connectors:\n  - name: api\n    connector_type: file\n    config_data: {path: x, colour: red}\n", "api", "colour")


def test_config_that_names_an_unknown_source():
    check(SERVER + "pipelines:\n  - {name: p, source: nowhere, sinks: [nothing]}\n", "bad.yaml:3", "nowhere", "nothing")


def test_plugin_directory_missing():
    check(SERVER.replace("{plugins}", "{dir}/no-such-folder"), "no-such-folder")


def test_plugin_directory_world_writable():
    folder = tempfile.mkdtemp(prefix="mfnd-open-")
    os.chmod(folder, 0o777)
    try:
        check(SERVER.replace("{plugins}", folder), folder, "writable")
    finally:
        os.rmdir(folder)


def test_valid_config_passes():
    check(FILE_TO_FILE, code=0)


def test_port_taken():
    with Mfnd(SERVER) as first:
        folder = tempfile.mkdtemp(prefix="mfnd-second-")
        second = Mfnd(SERVER.replace("127.0.0.1:0", first.address), directory=folder)
        done = subprocess.run([MFND, "--config", second.config], capture_output=True, text=True, timeout=60)
        shutil.rmtree(folder)
        assert done.returncode == 1
        assert first.address in done.stdout + done.stderr, done.stdout + done.stderr


def test_state_directory_in_use():
    with Mfnd(SERVER) as first:
        done = subprocess.run([MFND, "--config", first.config], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "state" in done.stderr and str(first.process.pid) in done.stderr, done.stderr


def test_files_that_are_no_plugins_are_reported_and_do_not_stop_the_others():
    folder = tempfile.mkdtemp(prefix="mfnd-plugins-")
    try:
        os.chmod(folder, 0o755)
        shutil.copy(PLUGINS / "mfn-file.so", folder)
        with open(os.path.join(folder, "mfn-text.so"), "w") as out:
            out.write("not a library")
        with Mfnd(SERVER.replace("{plugins}", folder)) as server:
            assert "mfn-text.so" in server.log()
            plugins = server.call("mfn.v1.PluginService/ListPlugins")["plugins"]
            assert len(plugins) == 1, plugins
    finally:
        shutil.rmtree(folder)


BAD_REQUESTS = {
    # name: (request as protobuf JSON, words of the error)
    "grid over the limit": ({"grid_size": 1025}, ["InvalidArgument", "grid_size", "1024"]),
    "grid under the limit": ({"grid_size": 3}, ["InvalidArgument", "grid_size", "4"]),
    "too much work": ({"grid_size": 1024, "steps": 65537}, ["InvalidArgument", "steps", "2^36"]),
    "no steps": ({"steps": 0}, ["InvalidArgument", "steps", "1"]),
    "NaN": ({"alpha": "NaN"}, ["InvalidArgument", "alpha", "0.25"]),
    "unstable": ({"alpha": 0.25}, ["InvalidArgument", "alpha", "0.25"]),
    "wrong-sized field": ({"grid_size": 8, "initial_field": {"rows": 8, "cols": 8, "data": "AAAA"}},
                          ["InvalidArgument", "initial_field", "512"]),
    "field of another grid": ({"grid_size": 8, "initial_field": {"rows": 4, "cols": 4, "data": "A" * 172}},
                              ["InvalidArgument", "initial_field"]),
}


def test_requests_over_a_limit():
    with Mfnd(SERVER) as server:
        for name, (request, words) in BAD_REQUESTS.items():
            try:
                server.call("mfn.v1.SimulationService/Run", request)
            except RpcError as error:
                for word in words:
                    assert word in str(error), "%s: %r is not in %s" % (name, word, error)
                assert "google.rpc.ErrorInfo" in str(error), "%s: no ErrorInfo in %s" % (name, error)
            else:
                raise AssertionError("%s was accepted" % name)
        assert server.call("mfn.v1.SimulationService/Run", {"seed": 42})["growth_events"] == 14


BAD_MESSAGES = {
    "truncated": '{"request_id": "x", "grid_size": 6',
    "nested": "[" * 10000 + "]" * 10000,
    "not-utf8": None,
    "no-request": '"just a string"',
    "unknown-only": '{"colour": "red"}',
    "limit": '{"request_id": "x", "grid_size": 4096}',
    "nan": '{"request_id": "x", "alpha": NaN}',
}


def test_bad_messages_become_dead_letters_and_good_ones_pass():
    with Mfnd(FILE_TO_FILE) as server:
        inbox = server.dir / "inbox"
        inbox.mkdir(exist_ok=True)
        for name, text in BAD_MESSAGES.items():
            if text is None:
                part = inbox / "not-utf8.json.part"
                part.write_bytes(b'{"request_id": "\xff\xfe"}')
                part.rename(inbox / "not-utf8.json")
            else:
                drop(inbox, name + ".json", text)
        drop(inbox, "mixed.json", json.dumps([{"request_id": "good-1"}, {"alpha": 7}, {"request_id": "good-2"}]))
        drop(inbox, "good.json", json.dumps({"request_id": "good-3"}))

        def status():
            return server.call("mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/main"})["status"]["conservation"]

        drop(inbox, "rows.csv", "request_id,alpha\ngood-4,0.18\nonly-one-cell\n")

        total = len(BAD_MESSAGES) + 6
        wait_until(lambda: int(status().get("delivered", 0)) + int(status().get("dead_lettered", 0)) == total,
                   "all %d items settled: %s" % (total, status()))
        counts = status()
        assert int(counts["delivered"]) == 4 and int(counts["dead_lettered"]) == total - 4, counts
        assert {r["request_id"] for r in read_jsonl(server.dir / "outbox")} == {"good-1", "good-2", "good-3", "good-4"}
        letters = server.call("mfn.v1.PipelineService/ListDeadLetters", {"parent": "pipelines/main"})["dead_letters"]
        assert len(letters) == total - 4
        assert any("line 3 has 1 cells" in l["message"] for l in letters), "the source's own words are kept"
        assert all(l["message"] and l["reason"] for l in letters), letters


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
