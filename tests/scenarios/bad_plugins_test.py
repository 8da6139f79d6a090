#!/usr/bin/env python3
"""A server whose plugin folder holds every bad plugin beside the good ones.

It starts, it says which files it does not load and why, it runs instances of those that only
misbehave when they are called, and serves through all of it; then it stops when told to.
"""
import json
import shutil
import sys

from mfnd import BUILD, PLUGINS, Mfnd, RpcError, drop, read_jsonl, run_tests, wait_until

BAD = BUILD / "tests" / "bad_plugins" / "lib"

# Ten seconds each, all of them the probe's patience; one is enough here.
LEFT_OUT = {"start_hangs_with_child.so", "start_floods.so"}

# Loaded, and wrong only when called. Sinks are written to, sources read from.
SINKS = ["unknown_code", "end_of_write", "wrapper_throws", "garbage_texts", "fail_abuse", "metric_flood", "prints",
         "broken_pipe", "symbols", "raw_throws", "log_flood", "signals", "locale", "fast_math", "never_returns"]
SOURCES = ["null_records", "too_many", "null_data", "huge_length", "wild_pointers", "gigabytes", "many_attributes",
           "output_of_error", "unknown_code"]
# What a bad sink answers for good: its records become dead letters with this reason.
REFUSED = {"unknown_code": "UNKNOWN_CODE", "end_of_write": "UNKNOWN_CODE", "garbage_texts": "?" * 64,
           "raw_throws": "EXCEPTION"}
ACCEPTED = ["fail_abuse", "metric_flood", "prints", "symbols", "log_flood", "signals", "locale", "fast_math"]
# Files that must be named in the log, with the words of the reason.
REJECTED = {
    "start_crashes": "loading it ended the process with",
    "start_exits": "exit code 3",
    "start_hangs": "still being loaded after 10s",
    "start_protobuf_twice": "loading it ended the process with",
    "unresolved": "a_function_that_nobody_has",
    "schema_enormous": "larger than 1048576 bytes",
    "null_write": "sink.write is NULL",
    "cut_short": "cut short",
    "no_library": "no ELF header",
}


def configuration(folder):
    def instance(kind, name, plugin, more=""):
        return ("  - {name: %s, %s: bad-%s, timeout_ms: 1000, retry_policy: {max_retries: 1, backoff: "
                "{base_ms: 10, max_delay_ms: 50}}%s}\n" % (name, kind, plugin, more))

    inbox = ("  - {name: inbox-%s, connector_type: file, config_data: {path: '{dir}/inbox-%s', mode: watch, "
             "afterwards: delete}}\n")
    text = 'server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", drain_timeout_ms: 2000, plugin_dirs: ["%s"]}\n' % folder
    text += "connectors:\n" + inbox % ("good", "good")
    for name in SINKS:
        text += inbox % (name.replace("_", "-"), name.replace("_", "-"))
    for name in SOURCES:
        text += instance("connector_type", "from-" + name.replace("_", "-"), name)
    text += "publishers:\n"
    text += ("  - {name: outbox, publisher_type: file, batch_timeout_ms: 5, "
             "config_data: {path: '{dir}/outbox', format: jsonl, filename: results.jsonl}}\n")
    for name in SINKS:
        text += instance("publisher_type", "to-" + name.replace("_", "-"), name, ", batch_timeout_ms: 5")
    text += "pipelines:\n  - {name: good, source: inbox-good, sinks: [outbox]}\n"
    for name in (name.replace("_", "-") for name in SINKS):
        text += "  - {name: sink-%s, source: inbox-%s, processor: passthrough, sinks: [to-%s]}\n" % (name, name, name)
    for name in (name.replace("_", "-") for name in SOURCES):
        text += "  - {name: source-%s, source: from-%s, processor: simulate, sinks: [outbox]}\n" % (name, name)
    return text


def gather(folder):
    """The folder with all plugins, and two files that are no library at all."""
    folder.mkdir(mode=0o755)
    for path in [*BAD.glob("*.so"), *PLUGINS.glob("*.so")]:
        if path.name not in LEFT_OUT:
            shutil.copy(path, folder)
    whole = (BAD / "sound.so").read_bytes()
    (folder / "cut_short.so").write_bytes(whole[:len(whole) // 2])
    (folder / "no_library.so").write_text("not a library")
    for path in folder.iterdir():
        path.chmod(0o644)


def counts(server, pipeline):
    name = {"name": "pipelines/" + pipeline}
    status = server.call("mfn.v1.PipelineService/GetPipeline", name)["status"]["conservation"]
    return {key: int(value) for key, value in status.items()}


def test_serves_with_every_bad_plugin_in_its_folder():
    server = Mfnd("")
    gather(server.dir / "plugins")
    server.config.write_text(configuration(server.dir / "plugins").replace("{dir}", str(server.dir)))
    for name in ["good", *SINKS]:
        (server.dir / ("inbox-" + name.replace("_", "-"))).mkdir()
    with server:
        log = server.log()
        for name, words in REJECTED.items():
            lines = [line for line in log.splitlines() if "/%s.so" % name in line]
            assert any(words in line for line in lines), "%s: %r is not in %s" % (name, words, lines)
        for name in SINKS:
            drop(server.dir / ("inbox-" + name.replace("_", "-")), "one.json", json.dumps({"request_id": name}))
        drop(server.dir / "inbox-good", "one.json", json.dumps({"request_id": "good"}))

        wait_until(lambda: counts(server, "good").get("delivered") == 1, "the good pipeline to deliver")
        for name in ACCEPTED:
            pipeline = "sink-" + name.replace("_", "-")
            wait_until(lambda: counts(server, pipeline).get("delivered") == 1, pipeline + " to deliver")
        for name, reason in REFUSED.items():
            pipeline = "sink-" + name.replace("_", "-")
            wait_until(lambda: counts(server, pipeline).get("dead_lettered") == 1, pipeline + " to give up")
            letters = server.call("mfn.v1.PipelineService/ListDeadLetters", {"parent": "pipelines/" + pipeline})
            assert letters["dead_letters"][0]["reason"] == reason, letters
        try:
            server.call("mfn.v1.ConnectorService/ExecuteConnector", {"name": "connectors/from-unknown-code", "record": {}})
        except RpcError as error:
            raise AssertionError("a sound execute of a bad plugin failed: %s" % error)
        assert server.call("mfn.v1.SimulationService/Run", {"seed": 42})["growth_events"] == 14
        assert "good" in {row["request_id"] for row in read_jsonl(server.dir / "outbox")}
        # SIGTERM still stops it: the handlers that a plugin installed were put back.
        wait_until(lambda: "put back" in server.log(), "the handlers to be put back")
        wait_until(lambda: "a plugin call does not return" in server.log(), "the call that hangs to be given up")
        assert server.stop() == 0, server.log()[-2000:]


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
