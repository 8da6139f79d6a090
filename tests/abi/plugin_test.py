#!/usr/bin/env python3
"""A plugin built from each frozen header, with nothing of today's tree, is loaded and driven by mfnd."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from mfnd import ROOT, Mfnd, RpcError, run_tests, wait_until

FROZEN = sorted(path for path in (ROOT / "sdk/abi").iterdir() if path.is_dir())
CONFIG = """
server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{dir}/plugins"]}
connectors:
  - {name: numbers, connector_type: TYPE, config_data: {words: calm}}
  - {name: answers, connector_type: TYPE}
publishers:
  - {name: kept, publisher_type: TYPE}
pipelines:
  - {name: move, source: numbers, processor: passthrough, sinks: [kept]}
"""


def build(headers, folder):
    """The plugin, from those headers only."""
    (folder / "plugins").mkdir()
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden",
                    "-I", headers, '-DFROZEN="%s"' % headers.name, "-o", folder / "plugins/frozen.so",
                    ROOT / "tests/abi/plugin.c"], check=True)


def execute(server, payload):
    reply = server.call("mfn.v1.ConnectorService/ExecuteConnector", {
        "name": "connectors/answers", "record": {"payload": base64.b64encode(payload.encode()).decode()}})
    return json.loads(base64.b64decode(reply["records"][0]["payload"]))


def drive(headers, folder):
    with Mfnd(CONFIG.replace("TYPE", "abi-" + headers.name), directory=folder) as server:
        [plugin] = server.call("mfn.v1.PluginService/ListPlugins")["plugins"]
        assert plugin["name"] == "plugins/org.mfnd.abi-" + headers.name, plugin
        server.call("mfn.v1.ConnectorService/CheckConnector", {"name": "connectors/answers"})

        def moved():
            status = server.call("mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/move"})["status"]
            return int(status["conservation"].get("delivered", 0)) == 3

        wait_until(moved, "3 records to be written and flushed")
        wait_until(lambda: execute(server, "first")["acked"] == 3, "3 acks")
        seen = execute(server, "second")
        assert seen["before"] == "first", "mfn.state/1 keeps what was put"
        assert seen["released"] == 3 and seen["written"] == 3 and seen["flushed"] >= 1, seen
        assert seen["created"] == 3 and seen["validated"] >= 1, seen
        try:
            server.call("mfn.v1.ConnectorService/CreateConnector", {
                "connector_id": "loud", "connector": {"type": "abi-" + headers.name,
                                                      "config_data": {"words": "now!"}}})
        except RpcError as error:
            assert "must not shout" in str(error) and "/words" in str(error), error
        else:
            raise AssertionError("a configuration that the plugin refuses was accepted")
        assert server.stop() == 0
    with Mfnd(CONFIG.replace("TYPE", "abi-" + headers.name), directory=folder) as server:
        assert execute(server, "third")["before"] == "second", "and after a restart"


def test_a_plugin_of_every_release_runs():
    assert FROZEN
    for headers in FROZEN:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mfn-abi-"))
        try:
            os.chmod(folder, 0o755)
            build(headers, folder)
            drive(headers, folder)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
