#!/usr/bin/env python3
"""The API as grpcurl and any other client sees it: reflection, golden numbers, errors, resources."""
import base64
import hashlib
import json
import sys

from mfnd import ROOT, Mfnd, RpcError, drop, read_jsonl, run_tests, wait_until

SERVER = 'server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}\n'
RUN = "mfn.v1.SimulationService/Run"
EXACT = ("V_min", "V_max", "V_mean", "V_std", "dV_mean", "dV_max", "T_stable", "f_active", "N_clusters_low",
         "N_clusters_med", "N_clusters_high", "max_cluster_size", "cluster_size_std")
BOUNDARIES = {"periodic": "BOUNDARY_PERIODIC", "neumann": "BOUNDARY_NEUMANN", "dirichlet": "BOUNDARY_DIRICHLET"}


def golden(name):
    return json.loads((ROOT / "tests/golden" / name).read_text())["cases"]


def refused(server, method, request, *words):
    try:
        server.call(method, request)
    except RpcError as error:
        for word in words:
            assert word in str(error), "%r is not in %s" % (word, error)
        return str(error)
    raise AssertionError("%s accepted %s" % (method, request))


def check_result(result, expect, case):
    digest = hashlib.sha256(base64.b64decode(result["field"]["data"])).hexdigest()
    assert digest == expect["sha256"]["field"], case
    for counter in ("growth_events", "turing_activations", "clamping_events"):
        assert int(result.get(counter, 0)) == expect[counter], (case, counter)
    for name, want in expect["features_history"].items():
        got = result["features"].get(name, 0.0)
        if name in EXACT:
            assert got == want, (case, name, got, want)
        elif name != "D_r2":  # noise in the reference when all counts are equal
            assert abs(got - want) <= 1e-8 * max(1.0, abs(want)), (case, name, got, want)


def test_golden_fields_and_features_over_grpc():
    compared = 0
    with Mfnd(SERVER) as server:
        for case in golden("sim.json"):
            config = dict(case["config"])
            if config["grid_size"] > 256:
                continue  # a unary reply carries 2 MiB of field; streams are tested beside the service
            seed = config.pop("seed")
            request = dict(config, include_field=True, **({"seed": seed} if int(seed) < 1 << 64 else {"wide_seed": seed}))
            check_result(server.call(RUN, request), case["expect"], case["name"])
            compared += 1
        for case in golden("engine.json"):
            config = dict(case["config"])
            request = dict(config, include_field=True, seed=config["random_seed"],
                           boundary=BOUNDARIES[config["boundary_condition"]])
            del request["random_seed"], request["boundary_condition"]
            check_result(server.call(RUN, request), case["expect"], case["name"])
            compared += 1
    assert compared >= 10, compared
    print("    %d golden cases equal over gRPC" % compared)


def test_reflection_names_every_service():
    import subprocess
    from mfnd import GRPCURL
    with Mfnd(SERVER) as server:
        listed = subprocess.run([GRPCURL, "-plaintext", server.address, "list"], capture_output=True, text=True, check=True)
        names = set(listed.stdout.split())
        for name in ("SimulationService", "AnalysisService", "PluginService", "ConnectorService", "PipelineService"):
            assert "mfn.v1." + name in names, names
        assert "grpc.health.v1.Health" in names
        assert server.call("grpc.health.v1.Health/Check")["status"] == "SERVING"


def test_errors_print_their_details():
    with Mfnd(SERVER) as server:
        text = refused(server, RUN, {"grid_size": 2000}, "InvalidArgument", "1024")
        assert "google.rpc.ErrorInfo" in text and "google.rpc.BadRequest" in text, text
        assert "grid_size" in text, text
        refused(server, "mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/none"}, "NotFound", "none", "google.rpc.ErrorInfo")


def test_stream_sends_progress_and_the_same_result():
    with Mfnd(SERVER) as server:
        replies = server.call("mfn.v1.SimulationService/RunStream", {"simulation": {"seed": 42, "include_field": True}})
        assert isinstance(replies, list) and len(replies) >= 2, replies
        assert "result" in replies[-1], replies[-1].keys()
        assert replies[-1]["result"]["growth_events"] == 14


RESOURCES = SERVER + """
connectors:
  - {name: from-file, connector_type: memory, config_data: {queue: a}}
"""


def test_resources_made_by_rpc_outlive_a_restart_and_those_of_the_file_are_read_only():
    with Mfnd(RESOURCES) as server:
        inbox, outbox = server.dir / "in", server.dir / "out"
        inbox.mkdir()
        create = "mfn.v1.ConnectorService/CreateConnector"
        server.call(create, {"connector_id": "in", "connector": {
            "role": "ROLE_CONNECTOR", "type": "file", "config_data": {"path": str(inbox), "mode": "watch", "afterwards": "delete"}}})
        server.call(create, {"connector_id": "out", "connector": {
            "role": "ROLE_PUBLISHER", "type": "file", "config_data": {"path": str(outbox), "format": "jsonl", "filename": "r.jsonl"}}})
        refused(server, create, {"connector_id": "in", "connector": {
            "role": "ROLE_CONNECTOR", "type": "file", "config_data": {"path": "x"}}}, "AlreadyExists", "in")
        refused(server, create, {"connector_id": "bad", "connector": {
            "role": "ROLE_CONNECTOR", "type": "file", "config_data": {"path": 7}}}, "InvalidArgument", "path")
        pipeline = {"source": "connectors/in", "sinks": [{"publisher": "connectors/out"}]}
        server.call("mfn.v1.PipelineService/CreatePipeline", {"pipeline_id": "p", "pipeline": pipeline})
        refused(server, "mfn.v1.ConnectorService/DeleteConnector", {"name": "connectors/from-file"}, "FailedPrecondition")
        refused(server, "mfn.v1.ConnectorService/DeleteConnector", {"name": "connectors/in"}, "FailedPrecondition", "p")
        assert server.stop() == 0, server.log()
        server.start()
        names = [c["name"] for c in server.call("mfn.v1.ConnectorService/ListConnectors")["connectors"]]
        assert names == ["connectors/from-file", "connectors/in", "connectors/out"], names
        drop(inbox, "r.json", '{"request_id": "after-restart"}')
        wait_until(lambda: any(r.get("request_id") == "after-restart" for r in read_jsonl(outbox)), "a result after the restart")


DEAD = SERVER + """
connectors:
  - {name: inbox, connector_type: file, config_data: {path: "{dir}/in", mode: watch, afterwards: delete}}
publishers:
  - {name: outbox, publisher_type: file, config_data: {path: "{dir}/out", format: jsonl, filename: r.jsonl}}
pipelines:
  - {name: p, source: inbox, sinks: [outbox]}
"""


def test_dead_letters_are_listed_and_discarded():
    with Mfnd(DEAD) as server:
        (server.dir / "in").mkdir(exist_ok=True)
        drop(server.dir / "in", "bad.json", '{"request_id": "bad", "alpha": 3}')
        listing = "mfn.v1.PipelineService/ListDeadLetters"
        wait_until(lambda: server.call(listing, {"parent": "pipelines/p"}).get("dead_letters"), "the dead letter")
        letter = server.call(listing, {"parent": "pipelines/p"})["dead_letters"][0]
        assert "alpha" in letter["message"], letter
        refused(server, "mfn.v1.PipelineService/ReplayDeadLetter", {"name": letter["name"]}, "alpha")
        server.call("mfn.v1.PipelineService/DiscardDeadLetter", {"name": letter["name"]})
        assert not server.call(listing, {"parent": "pipelines/p"}).get("dead_letters")
        counts = server.call("mfn.v1.PipelineService/GetPipeline", {"name": "pipelines/p"})["status"]["conservation"]
        assert int(counts["dropped"]) == 1 and int(counts.get("dead_lettered", 0)) == 0, counts


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
