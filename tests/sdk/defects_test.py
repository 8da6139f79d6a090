#!/usr/bin/env python3
"""mfn-plugin-check fails a defective plugin in the case that is about its defect, and says what to do."""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from mfnd import BUILD, run_tests
from plugin_check import check, defective, verdicts

# Defect -> (the cases that must fail, words of the first one's message).
RUN_TIME = {
    "bad.pointer": (["config.accepted"], "refuses the given config"),
    "leak.thread": (["leaks"], "4 threads are left running"),
    "leak.file": (["leaks"], "/dev/null"),
    "leak.memory": (["leaks.memory"], "bytes behind"),
    "changes.locale": (["process"], "locale was changed to C.UTF-8"),
    "changes.signal": (["process"], "signal 15"),
    "changes.directory": (["process"], "working directory was changed to /"),
    "prints": (["destroy.unconnected"], "it printed \"hello"),
    "exits": (["destroy.unconnected"], "ended the process with exit code 0, while create"),
    "needs.extension": (["extension.none"], "crashed (Aborted), while create with a host that has no extension"),
    "connect.deaf": (["connect.deadline", "cancel.connect"], "after its deadline"),
    "connect.silent": (["connect.deadline"], "does not say why"),
    "destroy.crash": (["destroy.unconnected"], "crashed (Aborted), while destroy"),
    "extension.any": (["extension.unknown"], "NULL to an id that you do not know"),
    "read.unknown_code": (["read.limits", "read.deadline"], "the unknown code 4711"),
    "read.silent": (["read.limits"], "call mfn_host.fail before returning"),
    "read.deaf": (["cancel.read", "read.deadline"], "ms after it was cancelled"),
    "read.wakes_late": (["read.deadline"], "answer MFN_OK without records"),
    "read.too_many": (["read.limits"], "read(max_records 0) gives 4 records"),
    "read.greedy": (["read.limits"], "stop once max_bytes are reached"),
    "read.null_records": (["read.limits"], "records NULL"),
    "read.null_data": (["read.limits"], "with a length and data NULL"),
    "read.shares": (["read.release"], "a batch changes while the host holds it"),
    "read.no_id": (["read.ids"], "a record without an id"),
    "read.same_id": (["read.ids"], "two records the id \"x\""),
    "read.same_ack": (["read.ids"], "two unacked batches have the ack_id 1"),
    "read.other_ids": (["read.same_ids"], "another id"),
    "read.fills_failure": (["read.limits"], "nobody will release"),
    "ack.strict": (["ack"], "RETRYABLE, PERMANENT"),
    "write.deaf": (["cancel.write"], "ms after it was cancelled"),
    "write.end": (["write.records"], "MFN_END, which is for read only"),
    "write.changes": (["write.borrowed", "write.records"], "crashed (Segmentation fault), while write"),
    "write.needs_payload": (["write.records"], "crashed (Segmentation fault), while write"),
    "write.keeps": (["write.borrowed"], "crashed (Segmentation fault)"),
    "write.beyond": (["write.records"], "counts from 0 within the batch"),
    "write.reason": (["write.records"], "a short constant like NO_SPACE"),
    "flush.deaf": (["cancel.flush"], "ms after it was cancelled"),
    "execute.echoes": (["execute.requests"], "crashed (Segmentation fault), while looking at the answer"),
}


def test_a_defect_of_an_instance_fails_its_case():
    plugin = defective()

    def run(defect):
        cases, words = RUN_TIME[defect]
        flags = [flag for case in cases for flag in ("--only", case)]
        code, report = check(plugin, *flags, "--timeout", 10, config={"defect": defect})
        failed = verdicts(report, "FAILED")
        missed = [case for case in cases if case not in failed]
        if code == 1 and not missed and words in failed[cases[0]]:
            return ""
        return "%s: not found by %s, or without the words %r: %s" % (defect, missed, words, report["cases"])

    with ThreadPoolExecutor(4) as pool:
        wrong = list(filter(None, pool.map(run, RUN_TIME)))
    assert not wrong, "\n".join(wrong)


def test_waiting_calls_can_be_cancelled():
    _, report = check(defective(), "--only", "cancel.read", config={"defect": "read.waits"})
    assert verdicts(report, "ok").keys() == {"cancel.read"}, report


# Macros of the build -> (case, words).
BUILD_TIME = {
    ("EXPORTS",): ("exports", "1 symbols beside its entry (inflate)"),
    ("LOAD_SIGNAL",): ("loads", "signal 17"),
    ("ENTRY",): ("entry", "another pointer the second time"),
    ("LOOSE_SCHEMA",): ("config.refused", "\"additionalProperties\": false"),
    ('FOUND="bad.pointer"',): ("config.fuzz", "which is no JSON pointer"),
    ('FOUND="bad.no_pointer"',): ("config.fuzz", "set mfn_failure.field"),
    ('FOUND="bad.passing"',): ("config.fuzz", "answer MFN_PERMANENT"),
}


def test_a_defect_of_the_library_fails_its_case():
    for defines, (case, words) in BUILD_TIME.items():
        code, report = check(defective(*defines), "--only", case)
        failed = verdicts(report, "FAILED")
        assert code == 1 and words in failed.get(case, ""), "%s: %s" % (defines, report["cases"])


def test_a_configuration_that_crashes_is_named_and_found_again():
    for defect, seen in (("fuzz.crash", "crashed (Aborted)"), ("fuzz.hang", "did not end within 1 s")):
        flags = ["--only", "config.fuzz", "--seed", "42", "--timeout", "1"]
        texts = []
        for _ in range(2):
            _, report = check(defective('FOUND="%s"' % defect), *flags)
            texts.append(verdicts(report, "FAILED")["config.fuzz"])
        assert texts[0] == texts[1], "the same seed finds another: %s" % texts
        for words in (seen, '{"defect":"%s"}' % defect, "--seed 42"):
            assert words in texts[0], texts[0]


# Of tests/bad_plugins, which are made to try the server: what their authors would have been told.
LIBRARIES = {
    "no_entry": ("exports", "does not export"), "unresolved": ("loads", "a_function_that_nobody_has"),
    "entry_null": ("entry", "answers NULL"), "bad_type": ("descriptor", "no configuration can name it"),
    "small_struct": ("descriptor", "struct_size is 24"), "null_component": ("descriptor", "#0 is NULL"),
    "same_type_twice": ("descriptor", "listed twice"), "no_flush": ("descriptor", "sink.flush is NULL"),
    "null_create": ("descriptor", "create is NULL"), "no_role": ("descriptor", "source, sink and executor"),
    "schema_no_json": ("schema", "not JSON"), "schema_remote": ("schema", "leaves the document"),
    "symbols": ("exports", "can take the place of the host's"), "directory": ("loads", "working directory"),
    "null_self": ("destroy.unconnected", "leaves *self NULL"), "same_ack_id": ("read.ids", "ack_id 7"),
    "unknown_code": ("cancel.read", "unknown code 4711"), "end_of_write": ("write.records", "for read only"),
    "output_of_error": ("read.limits", "nobody will release"), "overlapping": ("ack", "gives 1000 records"),
    "huge_length": ("read.release", "is that a length?"), "wild_pointers": ("read.release", "Segmentation fault"),
    "garbage_extension": ("extension.unknown", "NULL to an id"), "garbage_texts": ("write.records", "a reason is"),
}


def test_the_bad_plugins_of_the_server_fail():
    for name, (case, words) in LIBRARIES.items():
        code, report = check(BUILD / "tests/bad_plugins/lib" / (name + ".so"), "--only", case)
        assert code == 1 and words in verdicts(report, "FAILED").get(case, ""), (name, report)


if __name__ == "__main__":
    if os.environ["MFN_SANITIZE"]:
        print("SKIP: memory and crashes look different under a sanitizer; the release preset checks them")
        sys.exit(77)
    run_tests(sys.modules[__name__])
