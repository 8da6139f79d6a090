#!/usr/bin/env python3
"""A plugin whose call never returns: its caller gets an answer, the server goes on and stops in order."""
import shutil
import sys
import time

from mfnd import BUILD, Mfnd, RpcError, run_tests

CONFIG = """
server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{dir}/lib"]}
connectors:
  - name: tarpit
    connector_type: stuck
    timeout_ms: 200
    retry_policy: {max_retries: 0}
    circuit_breaker: {enabled: false}
    config_data: {"hang": "execute"}
"""
EXECUTE = "mfn.v1.ConnectorService/ExecuteConnector"


def stuck_server():
    server = Mfnd(CONFIG)
    (server.dir / "lib").mkdir()
    shutil.copy(BUILD / "server" / "registry" / "testdata" / "stuck.so", server.dir / "lib")
    return server


def execute(server):
    """The error of a call to the connector."""
    try:
        server.call(EXECUTE, {"name": "connectors/tarpit", "record": {"payload": "eA=="}})
    except RpcError as error:
        return str(error)
    raise AssertionError("a call that hangs was answered")


def status(server):
    return server.call("mfn.v1.ConnectorService/GetConnector", {"name": "connectors/tarpit"})["status"]


def test_the_caller_gets_an_answer_and_the_instance_another_chance():
    with stuck_server() as server:
        started = time.monotonic()
        error = execute(server)
        assert "DeadlineExceeded" in error and "CALL_OVERRAN" in error and "written off" in error, error
        assert time.monotonic() - started < 30, "the timeout is 0.2 s, the grace 1 s"
        now = status(server)
        assert now["state"] == "STATE_QUARANTINED" and now["stuck_calls"] == now["written_off"] == "1", now
        execute(server)
        now = status(server)
        assert now["stuck_calls"] == "2" and now["replaced"] == "1", now
        assert server.stop() == 0
        assert "stuck_threads" in server.log(), server.log()


def test_stuck_calls_are_bounded():
    with stuck_server() as server:
        for _ in range(8):
            assert "CALL_OVERRAN" in execute(server)
        started = time.monotonic()
        error = execute(server)
        assert "TOO_MANY_STUCK_CALLS" in error and "restart" in error, error
        assert time.monotonic() - started < 30
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 30, "nobody waits for what is stuck"


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
