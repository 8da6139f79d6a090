#!/usr/bin/env python3
"""Today's headers keep every promise of the frozen ones, and a frozen file never changes."""
import hashlib
import pathlib
import shutil
import sys
import tempfile

from layout import differences
from mfnd import ROOT, run_tests

FROZEN, CURRENT = ROOT / "sdk/abi", ROOT / "sdk/include"
RELEASES = sorted(path for path in FROZEN.iterdir() if path.is_dir())


def headers_of(release):
    return sorted(str(path.relative_to(release)) for path in release.rglob("*.h"))


def test_a_frozen_file_never_changes():
    sums = dict(reversed(line.split()) for line in (FROZEN / "SHA256SUMS").read_text().splitlines())
    files = {"%s/%s" % (release.name, name) for release in RELEASES for name in headers_of(release)}
    assert files == set(sums), "frozen and not in SHA256SUMS, or the reverse: %s" % (files ^ set(sums))
    for name, digest in sums.items():
        now = hashlib.sha256((FROZEN / name).read_bytes()).hexdigest()
        assert now == digest, "sdk/abi/%s has changed: git checkout it, and change sdk/include instead" % name


def test_todays_headers_keep_what_was_promised():
    assert RELEASES
    for release in RELEASES:
        for name in headers_of(release):
            wrong = differences(release, CURRENT, name)
            assert not wrong, "%s against sdk/abi/%s:\n%s" % (name, release.name, "\n".join(wrong))


# What may not happen to plugin.h: (old text, new text, words of the complaint).
BREAKAGES = [
    ("MFN_THROTTLED = 4", "MFN_THROTTLED = 9", "MFN_THROTTLED was 4, is 9"),
    ("  MFN_END = 1,\n", "", "MFN_END"),
    ("  mfn_bytes key;\n  mfn_bytes payload;", "  mfn_bytes payload;\n  mfn_bytes key;", "mfn_record: members"),
    ("  void* private_data;\n", "  void* private_data;\n  void* more;\n", "mfn_batch: members"),
    ("uint64_t lane;", "uint32_t lane;", "mfn_batch: members"),
    ("  mfn_code (*check)(void* self, mfn_call*);\n", "", "mfn_component: members"),
    ("mfn_code (*flush)(void* self, mfn_call*)", "mfn_code (*flush)(void* self)", "mfn_sink: members"),
    ('"mfn_plugin_entry_v1"', '"mfn_plugin_entry_v2"', "MFN_PLUGIN_ENTRY_SYMBOL"),
    ("#define MFN_TIME_ABSENT INT64_MIN", "#define MFN_TIME_ABSENT 0", "MFN_TIME_ABSENT"),
    ("mfn_plugin_entry_v1(uint32_t host_abi_minor);", "mfn_plugin_entry_v1(void);", "not declared any more"),
]
# And what may: a grown struct, a new value.
GROWTH = [
    ("  const void* (*extension)(void* self, const char* id);\n} mfn_component",
     "  const void* (*extension)(void* self, const char* id);\n  void (*more)(void);\n} mfn_component"),
    ("  MFN_UNSUPPORTED = 8\n", "  MFN_UNSUPPORTED = 8,\n  MFN_MORE = 9\n"),
    ("#define MFN_ABI_MINOR 0", "#define MFN_ABI_MINOR 1"),
]


def changed(old, new):
    """The differences that a change of plugin.h would make."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mfn-abi-"))
    try:
        shutil.copytree(RELEASES[0] / "mfn", folder / "mfn")
        text = (folder / "mfn/plugin.h").read_text()
        assert text.count(old) == 1, "%r is %d times in plugin.h" % (old, text.count(old))
        (folder / "mfn/plugin.h").write_text(text.replace(old, new))
        return differences(RELEASES[0], folder, "mfn/plugin.h")
    finally:
        shutil.rmtree(folder)


def test_the_comparison_sees_every_breakage_and_allows_growth():
    for old, new, words in BREAKAGES:
        found = "\n".join(changed(old, new))
        assert words in found, "%r -> %r gave %r" % (old, new, found)
    for old, new in GROWTH:
        assert changed(old, new) == [], (old, new)


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
