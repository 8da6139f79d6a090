#!/usr/bin/env python3
"""Holds the shape of the tree (rules.py): who may include whom, in sources and in CMake; the length
of a file; its opening comment; no words that mark unfinished work.

    check_edges.py [ROOT]

Prints each violation as file:line: what is wrong and what is allowed; exits with 1 if there is one.
"""
import os
import pathlib
import re
import subprocess
import sys

import rules

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SOURCE = re.compile(r"\.(cc|h|hpp|c)$")
SCRIPT = re.compile(r"\.(py|sh)$|^(deploy/(deps|quickstart)|tests/run|\.ci/run)$")
CMAKE = re.compile(r"(^|/)CMakeLists\.txt$|\.cmake$")
TEXT = re.compile(r"\.(cc|h|hpp|c|py|sh|md|proto|cmake|txt|yaml|yml|json|in|map)$")
TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|[^/]*_test_util)\.(cc|h|hpp|c)$")
# Spelled in halves, so that this file does not mark itself.
MARKERS = re.compile(r"\b(%s)\b" % "|".join(["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]))
CALL = re.compile(r"\b(mfn_library|mfn_test|mfn_binary|add_mfn_plugin|target_link_libraries)"
                  r"\s*\(([^()]*)\)")


def files_of(root):
    """Every file that git tracks or would; without git, every file outside build folders."""
    try:
        listed = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                                capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(root)) for path in root.rglob("*")
                  if path.is_file() and not {"build", ".git"} & set(path.relative_to(root).parts)]
    return sorted(name for name in listed if (root / name).is_file())


def part_of(name):
    """server/<part>/...: the part; a file of server/ itself wires, and is 'main'; else None."""
    steps = name.split("/")
    if steps[0] != "server" or len(steps) < 2:
        return None
    return "main" if len(steps) == 2 else steps[1]


def reachable(part):
    seen = set()
    todo = [part]
    while todo:
        for other in rules.EDGES.get(todo.pop(), []):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


def allowed_parts(part, is_test):
    if part == "main":
        return set(rules.EDGES) | {"main"}
    allowed = set(rules.EDGES.get(part, [])) | {part}
    if is_test and part != "engine":
        allowed |= reachable(part) | set(rules.TESTS_ALSO)
    if is_test and part in rules.TESTS_OF_ALL:
        allowed.add("main")
    return allowed


def edge_text(part, is_test):
    others = sorted(allowed_parts(part, is_test) - {part})
    return "%s%s may include %s" % (part, "'s tests" if is_test else "",
                                    ", ".join(others) or "no other part")


def is_standard(path):
    stem = path[:-2] if path.endswith(".h") else None
    return bool(re.fullmatch(r"[a-z0-9_]+", path)) or stem in rules.C_HEADERS


def starts(path, prefixes):
    return any(path.startswith(prefix) for prefix in prefixes)


def check_part(part, other, is_test):
    """An edge between two parts of server/."""
    if other in allowed_parts(part, is_test):
        return None
    return "%s includes %s; %s" % (part, other, edge_text(part, is_test))


def check_sdk_use(part, path, is_test):
    if part == "main" or (part in rules.ABI_USERS and (is_test or path.endswith(".h"))):
        return None
    return "%s includes %s; the sdk's C headers are for %s, its C++ ones for plugins and tests" % (
        part, path, ", ".join(rules.ABI_USERS))


def check_library(part, path, is_test):
    if part == "engine":
        allowed = rules.ENGINE_LIBRARIES + (rules.ENGINE_TEST_LIBRARIES if is_test else [])
        if is_standard(path) or starts(path, allowed):
            return None
        return "the engine includes %s; it may include the standard library and %s" % (
            path, ", ".join(allowed))
    for prefix, owners in rules.LIBRARY_OWNERS.items():
        if path.startswith(prefix) and part not in owners and part != "main" and not is_test:
            return "%s includes %s; only %s may" % (part, path, ", ".join(owners))
    return None


def check_server_include(root, name, quote, path):
    part = part_of(name)
    is_test = bool(TEST_FILE.search(name))
    if path.startswith("server/"):
        return check_part(part, part_of(path), is_test)
    if path.startswith("plugins/") or path.startswith("tests/"):
        return "%s includes %s; the server knows no plugin and no test" % (part, path)
    if path.startswith("mfn/v1/"):
        if part == "main" or part in rules.PROTO_USERS:
            return None
        return "%s includes %s; the messages are for %s" % (part, path,
                                                            ", ".join(rules.PROTO_USERS))
    if path.startswith("mfn/"):
        return check_sdk_use(part, path, is_test)
    if quote == '"' and (root / name).parent.joinpath(path).exists():
        return '"%s" is beside this file; write its path from the root of the repository' % path
    return check_library(part, path, is_test)


def check_plugin_include(name, path):
    own = "/".join(name.split("/")[:2]) + "/"
    if TEST_FILE.search(name) and part_of(path) in rules.PLUGIN_TESTS:
        return None
    if starts(path, ["server/", "mfn/v1/", "tests/", "sdk/"]):
        return "a plugin includes %s; it may include mfn/, its own files and libraries" % path
    if path.startswith("plugins/") and not path.startswith(own):
        return "a plugin includes %s; of plugins/ it may include only %s" % (path, own)
    return None


def check_sdk_include(name, path):
    is_test = bool(TEST_FILE.search(name)) or not name.startswith("sdk/include/")
    if is_test and starts(path, ["gtest/", "gmock/"]):
        return None
    if path.startswith("mfn/") and not path.startswith("mfn/v1/"):
        return None
    if is_standard(path) or path in rules.SDK_EXCEPTIONS.get(name, []):
        return None
    if is_test and not starts(path, ["server/", "plugins/", "mfn/v1/"]):
        return None
    return "the sdk includes %s; it may include the standard library and mfn/" % path


def check_includes(root, name, lines):
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        wrong = None
        if name.startswith("server/"):
            wrong = check_server_include(root, name, match.group(1), match.group(2))
        elif name.startswith("plugins/"):
            wrong = check_plugin_include(name, match.group(2))
        elif name.startswith("sdk/"):
            wrong = check_sdk_include(name, match.group(2))
        if wrong:
            yield number, wrong


def cmake_calls(text):
    """(command, offset, [(word, offset)]) of each call that declares or links a target."""
    bare = re.sub(r"#[^\n]*", lambda comment: " " * len(comment.group()), text)
    for call in CALL.finditer(bare):
        words = [(word.group(), call.start(2) + word.start())
                 for word in re.finditer(r"[^\s]+", call.group(2))]
        yield call.group(1), words


def target_folders(root, names):
    """Target of each mfn_library -> the file that declares it."""
    targets = {}
    for name in names:
        for command, words in cmake_calls((root / name).read_text(errors="replace")):
            texts = [word for word, _ in words]
            if command == "mfn_library" and "NAME" in texts[:-1]:
                targets["mfn_" + texts[texts.index("NAME") + 1]] = name
    return targets


def is_test_target(command, texts):
    sources = [text for text in texts if SOURCE.search(text)]
    if command == "target_link_libraries":
        return bool(texts) and bool(re.search(r"test|golden", texts[0]))
    return command == "mfn_test" or (bool(sources) and all(TEST_FILE.search("/" + source)
                                                           for source in sources))


def check_dependency(name, targets, dep, is_test):
    """`dep` is linked by a target that the CMake file `name` declares."""
    folder = targets.get(dep, "")
    if name.startswith("plugins/"):
        if is_test and part_of(folder) in rules.PLUGIN_TESTS:
            return None
        if folder.startswith("server/") or dep == "mfn_proto":
            return "a plugin links %s; it may link mfn_sdk, its own targets and libraries" % dep
        return None
    part = part_of(name)
    if part in (None, "main", "cmake"):
        return None
    if part == "engine" and not is_test and not dep.startswith("mfn_"):
        return None if dep in rules.ENGINE_TARGETS else (
            "the engine links %s; it may link %s" % (dep, ", ".join(rules.ENGINE_TARGETS)))
    if dep == "mfn_proto" and part not in rules.PROTO_USERS and not is_test:
        return "%s links mfn_proto; it is for %s" % (part, ", ".join(rules.PROTO_USERS))
    if dep == "mfn_sdk" and part not in rules.ABI_USERS:
        return "%s links mfn_sdk; it is for %s" % (part, ", ".join(rules.ABI_USERS))
    if folder.startswith("server/"):
        return check_part(part, part_of(folder), is_test)
    return None


def check_cmake(name, text, targets):
    for command, words in cmake_calls(text):
        texts = [word for word, _ in words]
        is_test = is_test_target(command, texts)
        linking = command == "target_link_libraries"
        for word, offset in words[1:] if linking else words:
            if word.isupper():
                linking = word in ("DEPS", "PRIVATE_DEPS", "LINK", "PUBLIC", "PRIVATE", "INTERFACE")
            elif linking:
                wrong = check_dependency(name, targets, word, is_test)
                if wrong:
                    yield text.count("\n", 0, offset) + 1, wrong


def header_of(root, name, lines):
    """The header that x.cc or x_test.cc includes first and that speaks for it: x.h, if there."""
    header = re.sub(r"(_test)?\.(cc|c)$", ".h", name)
    own = header != name and lines and lines[0] in (
        '#include "%s"' % header, '#include "%s"' % pathlib.PurePath(header).name)
    return header if own and (root / header).exists() else None


def check_opening(root, name, lines):
    """Sources, scripts and protos say what they are for; x.cc and x_test.cc may leave it to x.h."""
    if name.endswith("CMakeLists.txt") or header_of(root, name, lines):
        return
    first = 1 if lines and lines[0].startswith("#!") else 0
    preamble = r"\s*$|syntax |package |import |option "
    before = re.compile(preamble if name.endswith(".proto") else r"\s*$")
    while len(lines) > first and before.match(lines[first]):
        first += 1
    opening = lines[first].lstrip() if len(lines) > first else ""
    comment = ("# ", '"""') if SCRIPT.search(name) or CMAKE.search(name) else ("//", "/*")
    if not opening.startswith(comment):
        yield first + 1, "no opening comment: say in a line what the file is for"


def check_length(name, lines):
    limit = rules.LONGER.get(name, rules.MAX_LINES)
    if len(lines) > limit:
        yield limit + 1, "%d lines; at most %d: split it by concept" % (len(lines), limit)


def check(root):
    """[(file, line, what)] of every violation, in order."""
    names = files_of(root)
    cmake_names = [name for name in names if CMAKE.search(name)]
    targets = target_folders(root, cmake_names)
    found = []
    for name in names:
        code = SOURCE.search(name) or SCRIPT.search(name) or CMAKE.search(name)
        if not code and not TEXT.search(name) or name.startswith("tests/golden/"):
            continue
        text = (root / name).read_text(errors="replace")
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            for marker in MARKERS.finditer(line):
                found.append((name, number, "marker word %s: do it, or write an issue"
                              % marker.group()))
        if code or name.endswith(".proto"):
            found += [(name, number, what) for number, what in check_length(name, lines)]
            found += [(name, number, what) for number, what in check_opening(root, name, lines)]
        if SOURCE.search(name):
            found += [(name, number, what) for number, what in check_includes(root, name, lines)]
        if CMAKE.search(name):
            found += [(name, number, what) for number, what in check_cmake(name, text, targets)]
    return found


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                        os.environ.get("MFN_ROOT", pathlib.Path(__file__).parents[2]))
    found = check(root)
    for name, number, what in found:
        print("%s:%d: %s" % (name, number, what))
    print("%d violations" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
