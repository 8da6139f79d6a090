#!/usr/bin/env python3
"""Seeds a small tree with one violation of each rule, and expects check_edges.py to name each at
its file and line, and nothing else."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
NOTE = "// What it is for.\n"

CLEAN = {
    "server/base/clock.h": NOTE + "#include <cmath>\n",
    "server/engine/run.cc": '#include "server/engine/run.h"\n#include <vector>\n',
    "server/engine/run.h": NOTE + '#include <string_view>\n#include "hwy/highway.h"\n',
    "server/engine/run_test.cc": NOTE + "#include <gtest/gtest.h>\n#include <math.h>\n",
    "server/store/store.cc": NOTE + "#include <sqlite3.h>\n",
    "server/registry/instance.h": NOTE + '#include "mfn/plugin.h"\n'
                                         '#include "server/store/store.h"\n',
    "server/registry/import_test.cc": NOTE + '#include "server/engine/run.h"\n'
                                             '#include "mfn/plugin.hpp"\n',
    "server/pipeline/codec.h": NOTE + '#include "mfn/v1/simulation.pb.h"\n',
    "server/rpc/server.cc": NOTE + "#include <grpcpp/grpcpp.h>\n"
                                   '#include "server/pipeline/codec.h"\n',
    "server/main.cc": NOTE + '#include "server/rpc/server.h"\n'
                             '#include "server/observability/sink.h"\n',
    "server/base/CMakeLists.txt": "mfn_library(NAME base SRCS clock.cc DEPS absl::time)\n",
    "server/engine/CMakeLists.txt": "mfn_library(NAME engine SRCS run.cc)\n"
                                    "mfn_test(NAME run_test SRCS run_test.cc\n"
                                    "  DEPS mfn_engine GTest::gtest)\n",
    "server/rpc/CMakeLists.txt": "mfn_library(NAME rpc SRCS a.cc\n"
                                 "  DEPS mfn_engine mfn_base mfn_proto)\n",
    "plugins/file/plugin.cc": NOTE + '#include "mfn/plugin.hpp"\n#include "plugins/file/fs.h"\n'
                                     '#include "schema_json.h"\n#include <zlib.h>\n',
    "plugins/file/fs.cc": '#include "fs.h"\n',
    "plugins/file/fs.h": NOTE,
    "plugins/file/load_test.cc": NOTE + '#include "server/registry/instance.h"\n',
    "plugins/memory/CMakeLists.txt": "mfn_test(NAME load_test SRCS load_test.cc\n"
                                     "  DEPS mfn_base mfn_sdk)\n",
    "server/rpc/whole_test.cc": NOTE + '#include "server/app.h"\n',
    "sdk/include/mfn/plugin.h": "/* The ABI. */\n#include <stdint.h>\n",
    "sdk/include/mfn/plugin.hpp": NOTE + "#include <mfn/plugin.h>\n#include <string>\n",
    "proto/mfn/v1/a.proto": 'syntax = "proto3";\n\npackage mfn.v1;\n\n// A.\nmessage A {}\n',
    "tests/run": "#!/bin/bash\n# Runs the tests.\n",
}

# File -> (text, line of the one violation, words that its report must hold).
SEEDED = {
    "server/engine/config.cc": (NOTE + '\n#include "server/base/clock.h"\n', 3, "no other part"),
    "server/engine/absl.cc": (NOTE + '#include "absl/status/status.h"\n', 2, "standard library"),
    "server/engine/posix.cc": (NOTE + "#include <unistd.h>\n", 2, "standard library"),
    "server/engine/deep_test.cc": (NOTE + '#include "server/base/clock.h"\n', 2, "no other part"),
    "server/base/up.h": (NOTE + '  #  include "server/store/store.h"\n', 2, "base includes store"),
    "server/store/grpc.cc": (NOTE + "#include <grpcpp/grpcpp.h>\n", 2, "only rpc"),
    "server/store/proto.cc": (NOTE + '#include "mfn/v1/simulation.pb.h"\n', 2, "pipeline, rpc"),
    "server/store/abi.h": (NOTE + '#include "mfn/plugin.h"\n', 2, "registry, pipeline, rpc"),
    "server/registry/wrapper.cc": (NOTE + '#include "mfn/plugin.hpp"\n', 2, "plugins and tests"),
    "server/registry/engine.cc": (NOTE + '#include "server/engine/run.h"\n', 2,
                                  "registry may include base, resilience, store"),
    "server/registry/rpc_test.cc": (NOTE + '#include "server/rpc/server.h"\n', 2,
                                    "registry's tests may include"),
    "server/pipeline/rpc_test.cc": (NOTE + '#include "server/rpc/server.h"\n', 2, "includes rpc"),
    "server/pipeline/beside.cc": (NOTE + '#include "codec.h"\n', 2, "root of the repository"),
    "server/rpc/plugin.cc": (NOTE + '#include "plugins/file/fs.h"\n', 2, "knows no plugin"),
    "server/rpc/wiring.cc": (NOTE + '#include "server/app.h"\n', 2, "rpc includes main"),
    "server/store/CMakeLists.txt": ("mfn_library(NAME store\n  SRCS store.cc\n  # mfn_engine\n"
                                    "  DEPS mfn_base\n       mfn_engine)\n", 5, "includes engine"),
    "plugins/file/server.cc": (NOTE + '#include "server/base/clock.h"\n', 2, "a plugin includes"),
    "plugins/file/deep_test.cc": (NOTE + '#include "server/pipeline/codec.h"\n', 2,
                                  "a plugin includes"),
    "plugins/file/proto.cc": (NOTE + '#include "mfn/v1/simulation.pb.h"\n', 2, "a plugin includes"),
    "plugins/file/other.cc": (NOTE + '#include "plugins/memory/queue.h"\n', 2,
                              "only plugins/file/"),
    "plugins/file/CMakeLists.txt": ("add_mfn_plugin(NAME file SOURCES a.cc\n  LINK mfn_base)\n", 2,
                                    "a plugin links"),
    "sdk/include/mfn/ext/state.h": ("/* State. */\n#include <unistd.h>\n", 2, "the sdk includes"),
    "server/base/silent.h": ("#ifndef SILENT_H_\n#endif\n", 1, "opening comment"),
    "server/base/silent.cc": ('#include "server/base/loud.h"\n', 1, "opening comment"),
    "proto/mfn/v1/b.proto": ('syntax = "proto3";\nmessage B {}\n', 2, "opening comment"),
    "tests/bare.py": ("#!/usr/bin/env python3\nimport os\n", 2, "opening comment"),
    "server/base/long.cc": (NOTE + "\n" * 500, 501, "501 lines; at most 500"),
    "server/base/marked.cc": (NOTE + "int x;  // TO" "DO: more\n", 2, "marker word"),
    "README.md": ("# A\n\nFIX" "ME\n", 3, "marker word"),
}


def plant(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


class CheckEdges(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def run_check(self):
        done = subprocess.run([sys.executable, HERE / "check_edges.py", self.root],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()[:-1]

    def test_a_clean_tree_passes(self):
        plant(self.root, CLEAN)
        self.assertEqual(self.run_check(), (0, []))

    def test_each_seeded_violation_is_named_at_its_line(self):
        plant(self.root, CLEAN)
        plant(self.root, {name: text for name, (text, _, _) in SEEDED.items()})
        code, found = self.run_check()
        self.assertEqual(code, 1)
        self.assertEqual([line.split(": ")[0] for line in found],
                         ["%s:%d" % (name, SEEDED[name][1]) for name in sorted(SEEDED)])
        for line, name in zip(found, sorted(SEEDED)):
            self.assertIn(SEEDED[name][2], line)

    def test_files_that_git_ignores_are_not_looked_at(self):
        plant(self.root, {"build/x.cc": "int x;\n", ".gitignore": "build/\n",
                          "server/base/bad.h": "#pragma once\n"})
        subprocess.run(["git", "init", "-q", self.root], check=True)
        _, found = self.run_check()
        self.assertEqual([line.split(": ")[0] for line in found], ["server/base/bad.h:1"])


if __name__ == "__main__":
    unittest.main()
