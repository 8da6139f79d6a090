#!/usr/bin/env python3
"""What an operator sees of a running mfnd: metrics, health, logs."""
import base64
import collections
import contextlib
import json
import re
import subprocess
import sys

from mfnd import GRPCURL, Mfnd, RpcError, drop, run_tests, wait_until

CONFIG = """
server: {listen: "127.0.0.1:0", http: {listen: "127.0.0.1:0"}, state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}
connectors:
  - {name: inbox, connector_type: file, config_data: {path: "{dir}/in", mode: watch, afterwards: delete}}
publishers:
  - {name: outbox, publisher_type: file, config_data: {path: "{dir}/out", format: jsonl, filename: r.jsonl}}
pipelines:
  - {name: main, source: inbox, sinks: [outbox]}
"""
GET = "mfn.v1.PipelineService/GetPipeline"
UNITS = ("_seconds", "_bytes", "_ratio", "_info")


def parse(text):
    """{name: {"help", "type", "samples": {labels: value}}}; fails on what a scraper would refuse."""
    families, current = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, help_text = line[7:].split(" ", 1)
            assert name not in families, "HELP of %s stands twice" % name
            current = families[name] = {"help": help_text, "type": None, "samples": {}}
            continue
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert current is families.get(name) and current["type"] is None, line
            current["type"] = kind
            continue
        match = re.fullmatch(r'([a-z_][a-z0-9_]*)(?:\{((?:[a-z_][a-z0-9_]*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)', line)
        assert match, "no sample: %r" % line
        sample, labels, value = match.groups()
        base = re.sub("_(bucket|sum|count)$", "", sample) if current["type"] == "histogram" else sample
        assert families.get(base) is current, "%s stands outside of its family" % sample
        key = (sample, tuple(sorted(re.findall(r'([a-z_0-9]+)="((?:[^"\\]|\\.)*)"', labels or ""))))
        assert key not in current["samples"], "%s stands twice" % line
        current["samples"][key] = float(value)
    return families


def lint(families):
    """The rules of promtool's check."""
    for name, family in families.items():
        assert family["help"].strip() and family["help"].endswith("."), "%s has no help text" % name
        assert family["type"] in ("counter", "gauge", "histogram"), name
        assert (family["type"] == "counter") == name.endswith("_total"), "%s is a %s" % (name, family["type"])
        assert not re.search("_(bucket|count|sum)$", name), name
        assert not re.search("(_|^)(ms|millis|milliseconds|kb|mb|minutes|percent)(_|$)", name), "%s: base units" % name
        if family["type"] == "histogram":
            assert name.endswith(UNITS), name
        for (_, labels), value in family["samples"].items():
            assert value == value and (family["type"] == "gauge" or value >= 0), (name, value)
            assert all(not k.startswith("__") and k not in ("instance", "job") for k, _ in labels), (name, labels)
        check_histogram(name, family)


def check_histogram(name, family):
    if family["type"] != "histogram":
        return
    buckets = collections.defaultdict(list)
    for (sample, labels), value in family["samples"].items():
        rest = tuple(label for label in labels if label[0] != "le")
        if sample.endswith("_bucket"):
            buckets[rest].append((float(dict(labels)["le"]), value))
    for rest, series in buckets.items():
        series.sort()
        counts = [count for _, count in series]
        assert counts == sorted(counts), (name, rest, series)
        assert series[-1] == (float("inf"), family["samples"][(name + "_count", rest)]), (name, rest)


def scrape(server):
    status, text = server.http("/metrics")
    assert status == 200, text
    return parse(text)


def value(families, name, **labels):
    return families[name]["samples"].get((name, tuple(sorted(labels.items()))), 0.0)


def total(families, name, **labels):
    wanted = set(labels.items())
    return sum(v for (_, have), v in families[name]["samples"].items() if wanted <= set(have))


def books(families, pipeline):
    """The conservation counters as scraped, under the names of the API."""
    counts = {"received": value(families, "mfn_pipeline_received_items_total", pipeline=pipeline)}
    for outcome in ("delivered", "dropped", "returned"):
        counts[outcome] = total(families, "mfn_pipeline_items_total", pipeline=pipeline, outcome=outcome)
    for account in ("dead_lettered", "parked", "in_flight"):
        counts[account] = value(families, "mfn_pipeline_held_items", pipeline=pipeline, account=account)
    return counts


def check_books(counts):
    assert counts["received"] == sum(v for k, v in counts.items() if k != "received"), counts


def fill(server, good, bad):
    (server.dir / "in").mkdir(exist_ok=True)
    for k in range(good):
        drop(server.dir / "in", "good-%d.json" % k, '{"request_id": "good-%d", "grid_size": 32, "steps": 20}' % k)
    for k in range(bad):
        drop(server.dir / "in", "bad-%d.json" % k, '{"request_id": "bad-%d", "alpha": 3}' % k)


def test_scraped_books_balance_and_are_those_of_the_api():
    with Mfnd(CONFIG) as server:
        fill(server, 300, 5)
        seen = 0
        while True:  # while it works: every single scrape balances
            families = scrape(server)
            lint(families)
            counts = books(families, "main")
            check_books(counts)
            seen += 1
            if counts["delivered"] + counts["dead_lettered"] == 305:
                break
        letter = server.call("mfn.v1.PipelineService/ListDeadLetters", {"parent": "pipelines/main"})["dead_letters"][0]
        server.call("mfn.v1.PipelineService/DiscardDeadLetter", {"name": letter["name"]})
        families = scrape(server)
        counts = books(families, "main")
        check_books(counts)
        api = server.call(GET, {"name": "pipelines/main"})["status"]["conservation"]
        assert {k: int(v) for k, v in counts.items()} == {k: int(api[k]) for k in counts}, (counts, api)
        assert counts["dropped"] == 1 and counts["dead_lettered"] == 4 and counts["delivered"] == 300, counts
        assert value(families, "mfn_pipeline_items_total", pipeline="main", outcome="dropped", cause="discarded") == 1
        assert value(families, "mfn_pipeline_state", pipeline="main", state="running") == 1
        assert value(families, "mfn_pipeline_dead_letters", pipeline="main") == 4
        assert value(families, "mfn_pipeline_dead_letter_bytes", pipeline="main") > 0
        assert value(families, "mfn_pipeline_in_flight_records", pipeline="main") == 0
        durations = families["connector_execution_duration_seconds"]["samples"]
        for (_, labels), attempts in families["connector_attempt_count_total"]["samples"].items():
            # Both count each call into the plugin, one after the other.
            assert abs(durations[("connector_execution_duration_seconds_count", labels)] - attempts) <= 1, labels
        assert total(families, "connector_records_total", connector="outbox", direction="out") == 300
        assert total(families, "connector_execution_count_total", connector="outbox", outcome="success") > 0
        assert total(families, "mfn_build_info") == 1
        assert value(families, "process_open_fds") > 3
        print("    %d scrapes while it worked, each balanced" % seen, flush=True)


def health(server):
    return server.call("grpc.health.v1.Health/Check")["status"]


def test_readiness_ends_with_the_drain_and_grpc_health_agrees():
    with Mfnd(CONFIG) as server:
        assert server.http("/healthz")[0] == 200
        status, text = server.http("/readyz")
        assert status == 200 and json.loads(text)["ready"] is True, text
        assert [c["name"] for c in json.loads(text)["checks"]] == ["configuration", "store", "plugins", "serving"], text
        assert health(server) == "SERVING"
        # Work for some seconds, so that the drain can be looked at.
        (server.dir / "in").mkdir(exist_ok=True)
        for k in range(40):
            drop(server.dir / "in", "%d.json" % k, '{"request_id": "%d", "grid_size": 512, "steps": 200}' % k)
        wait_until(lambda: books(scrape(server), "main")["in_flight"] >= 10, "work in flight")
        server.process.terminate()
        wait_until(lambda: server.http("/readyz")[0] == 503, "not ready")
        body = json.loads(server.http("/readyz")[1])
        assert body["ready"] is False
        assert [c["name"] for c in body["checks"] if not c["ok"]] == ["serving"], body
        assert "drain" in body["checks"][-1]["message"], body
        assert server.http("/healthz")[0] == 200
        assert health(server) == "NOT_SERVING"
        check_books(books(scrape(server), "main"))
        server.process.kill()
        server.process.wait()


def test_metrics_want_a_key_where_calls_do():
    config = CONFIG.replace("server: {", "server: {api_keys: [open-sesame], ")
    with Mfnd(config) as server:
        assert server.http("/metrics")[0] == 401
        assert server.http("/metrics", {"x-api-key": "open-sesam"})[0] == 401
        assert server.http("/metrics", {"x-api-key": "open-sesame"})[0] == 200
        assert server.http("/metrics", {"authorization": "Bearer open-sesame"})[0] == 200
        assert server.http("/readyz")[0] == 200


def log_lines(server):
    """Every log line, parsed; the two lines that say where it listens are not log lines."""
    return [json.loads(line) for line in server.log().splitlines() if not line.startswith("mfnd ")]


def test_log_lines_are_json_and_name_their_request():
    with Mfnd(CONFIG, env={"MFN_LOG_LEVEL": "debug"}) as server:
        run = "mfn.v1.SimulationService/Run"
        trace = "0af7651916cd43dd8448eb211c80319c"
        server.call(run, {"seed": 1}, ["x-request-id: mine-1", "traceparent: 00-%s-b7ad6b7169203331-01" % trace])
        server.call(run, {"seed": 1}, ["x-request-id: no good"])
        with contextlib.suppress(RpcError):
            server.call(run, {"grid_size": 1}, ["x-request-id: mine-2"])
        shown = subprocess.run([GRPCURL, "-plaintext", "-v", "-H", "x-request-id: mine-3", "-d", '{"seed": 2}',
                                server.address, run], capture_output=True, text=True).stdout
        assert "x-request-id: mine-3" in shown.split("Response contents")[0].split("Response headers")[1], shown
        lines = {line["request_id"]: line for line in log_lines(server) if line["component"] == "access"}
        assert lines["mine-1"]["code"] == "OK" and lines["mine-1"]["method"] == run, lines
        assert lines["mine-1"]["trace_id"] == trace and float(lines["mine-1"]["duration_ms"]) > 0
        assert lines["mine-1"]["peer"].startswith("ipv4:127.0.0.1:"), lines
        assert lines["mine-2"]["code"] == "INVALID_ARGUMENT", lines
        assert "no good" not in lines
        made = [i for i in lines if re.fullmatch("[0-9a-f]{16}", i)]
        assert made, lines
        families = scrape(server)
        assert value(families, "mfn_rpc_calls_total", method=run, code="OK") == 3
        assert value(families, "mfn_rpc_calls_total", method=run, code="INVALID_ARGUMENT") == 1
        assert total(families, "mfn_rpc_active_calls") == 0
        assert families["mfn_rpc_duration_seconds"]["samples"][("mfn_rpc_duration_seconds_count", (("method", run),))] == 4
        assert value(families, "mfn_engine_runs_total", outcome="success") == 3
        assert value(families, "mfn_engine_cell_steps_total") == 3 * 64**3
        lint(families)


class Stream:
    """A server stream of grpcurl's, read message by message."""

    def __init__(self, server, method, request):
        self.process = subprocess.Popen(
            [GRPCURL, "-plaintext", "-emit-defaults", "-d", json.dumps(request), server.address, method],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def next(self):
        """The next message, or None at the end."""
        text = ""
        for line in self.process.stdout:
            text += line
            with contextlib.suppress(ValueError):
                return json.loads(text)
        return None

    def until(self, condition):
        """Reads on to the first message for which it holds."""
        while True:
            message = self.next()
            assert message is not None, self.process.stderr.read()
            if condition(message):
                return message

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


WATCH = "mfn.v1.PipelineService/WatchPipeline"
TAP = "mfn.v1.ConnectorService/TapConnector"
SPARE = CONFIG.replace("publishers:", """  - {name: spare, connector_type: file, config_data: {path: "{dir}/spare", mode: watch, afterwards: delete}}
publishers:""")


def refused(server, method, request, *words):
    try:
        server.call(method, request)
    except RpcError as error:
        for word in words:
            assert word in str(error), error
        return
    raise AssertionError("%s accepted %s" % (method, request))


def test_watch_tells_the_figures_changes_of_state_and_the_end():
    with Mfnd(SPARE) as server:
        (server.dir / "in").mkdir()
        (server.dir / "spare").mkdir()
        refused(server, WATCH, {"name": "pipelines/none"}, "NotFound", "PIPELINE_NOT_FOUND")
        refused(server, WATCH, {"name": "pipelines/main", "interval": "0.05s"}, "InvalidArgument", "interval")
        with Stream(server, WATCH, {"name": "pipelines/main", "interval": "0.1s"}) as often:
            assert often.next()["status"]["conservation"]["received"] == "0"
            fill(server, 20, 0)
            done = often.until(lambda m: m["status"]["conservation"]["delivered"] == "20")["status"]["conservation"]
            check_books({k: int(v) for k, v in done.items() if k != "dropped_by_cause"})
        server.call("mfn.v1.PipelineService/CreatePipeline", {
            "pipeline_id": "mine", "pipeline": {"source": "spare", "sinks": [{"publisher": "outbox"}]}})
        # With the longest interval only changes are told.
        with Stream(server, WATCH, {"name": "pipelines/mine", "interval": "60s"}) as rare:
            rare.until(lambda m: m["status"]["state"] == "STATE_RUNNING")
            server.call("mfn.v1.PipelineService/PausePipeline", {"name": "pipelines/mine"})
            rare.until(lambda m: m["status"]["state"] == "STATE_PAUSED")
            server.call("mfn.v1.PipelineService/DeletePipeline", {"name": "pipelines/mine"})
            while rare.next() is not None:
                pass
            assert rare.process.wait(10) == 0, rare.process.stderr.read()
        with Stream(server, WATCH, {"name": "pipelines/main"}) as last:
            last.next()
            server.process.terminate()
            while last.next() is not None:
                pass
            assert "Unavailable" in last.process.stderr.read()
        assert server.process.wait(20) == 0


def test_tap_shows_the_records_that_were_asked_for():
    with Mfnd(CONFIG) as server:
        (server.dir / "in").mkdir()
        refused(server, TAP, {"name": "connectors/none"}, "NotFound")
        refused(server, TAP, {"name": "connectors/inbox", "sample_ratio": 0}, "InvalidArgument", "sample_ratio")
        wanted = base64.b64encode(b'"good-1').decode()
        out = {"name": "connectors/outbox", "payload_contains": wanted, "max_records": 3, "max_payload_bytes": 20}
        with Stream(server, TAP, out) as tap, Stream(server, TAP, {"name": "connectors/inbox"}) as all_in:
            assert tap.next()["records"] == [] and all_in.next()["records"] == []
            fill(server, 15, 1)
            records = []
            while (message := tap.next()) is not None:
                records += message["records"]
            assert tap.process.wait(10) == 0, tap.process.stderr.read()
            assert len(records) == 3, records
            for one in records:
                assert one["direction"] == "DIRECTION_OUT" and one["outcome"] == "OK", one
                assert one["truncated"] and int(one["payload_size"]) > 20, one
                assert len(base64.b64decode(one["record"]["payload"])) == 20, one
                assert one["record"]["attributes"]["content-type"] == "application/json", one
            seen = []
            while len(seen) < 16:
                seen += all_in.next()["records"]
            assert all(one["direction"] == "DIRECTION_IN" and not one["truncated"] for one in seen), seen
            payloads = {json.loads(base64.b64decode(one["record"]["payload"]))["request_id"] for one in seen}
            assert payloads == {"good-%d" % k for k in range(15)} | {"bad-0"}, payloads


def test_taps_are_few():
    with Mfnd(CONFIG) as server, contextlib.ExitStack() as stack:
        for _ in range(16):
            tap = stack.enter_context(Stream(server, TAP, {"name": "connectors/inbox"}))
            assert tap.next()["records"] == []
        refused(server, TAP, {"name": "connectors/inbox"}, "ResourceExhausted", "TOO_MANY_STREAMS")
        tap.process.kill()

        def free():
            with Stream(server, TAP, {"name": "connectors/inbox", "max_duration": "0.1s"}) as one:
                return one.next() is not None
        wait_until(free, "a place after one reader is gone")


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
