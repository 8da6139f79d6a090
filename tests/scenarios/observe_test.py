#!/usr/bin/env python3
"""What an operator sees of a running mfnd: metrics, health, logs."""
import collections
import json
import re
import sys

from mfnd import Mfnd, drop, run_tests, wait_until

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


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
