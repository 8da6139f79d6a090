"""What a C header of the plugin ABI promises to who was compiled against it, and how two compare.

A header's promise is read from its text (members and their declarations, enumerators, macros,
functions) and from the compiler (sizes, offsets, values).
"""
import pathlib
import re
import subprocess
import tempfile

# Value types, which never grow; every other struct may gain members at its end.
FROZEN_TYPES = ("mfn_bytes", "mfn_kv", "mfn_record", "mfn_batch")
# Grows with each release, by design; is no value.
OTHER_MACROS = ("MFN_ABI_MINOR", "MFN_EXPORT")


class Header:
    """One header's text, taken apart."""

    def __init__(self, path):
        text = re.sub(r"/\*.*?\*/", " ", pathlib.Path(path).read_text(), flags=re.S)
        # Of those with a value: whether it is a string.
        self.macros = {name: value.startswith('"') for name, value in
                       re.findall(r"^#define (\w+) +(\S.*)$", text, re.M) if name not in OTHER_MACROS}
        text = re.sub(r"^#(.*\\\n)*.*$", "", text, flags=re.M)
        self.structs = {}
        for body, name in re.findall(r"typedef struct(?: \w+)? \{(.*?)\} (\w+);", text, re.S):
            self.structs[name] = [" ".join(part.split()) for part in body.split(";") if part.strip()]
        self.enumerators = [word.split("=")[0].strip()
                            for body in re.findall(r"\benum \{(.*?)\}", text, re.S)
                            for word in body.split(",") if word.strip()]
        rest = re.sub(r"(typedef struct(?: \w+)? |\benum )\{.*?\}[^;]*;", "", text, flags=re.S)
        self.declarations = [" ".join(part.split()) for part in rest.split(";") if "mfn_" in part]


def member_names(declaration):
    """"mfn_bytes key, value" declares key and value; a pointer to a function the name in (*name)."""
    function = re.search(r"\(\*(\w+)\)", declaration)
    return [function.group(1)] if function else [
        re.search(r"(\w+)\s*$", part).group(1) for part in declaration.split(",")]


def program(name, header):
    """A C program that prints every number of the header's promise."""
    lines = ["#include <stdio.h>", "#include <%s>" % name, "int main(void) {"]
    for struct, declarations in header.structs.items():
        lines.append('printf("sizeof %s=%%zu\\n", sizeof(%s));' % (struct, struct))
        for member in (m for d in declarations for m in member_names(d)):
            lines.append('printf("%s.%s=%%zu+%%zu\\n", offsetof(%s, %s), sizeof(((%s*)0)->%s));'
                         % (struct, member, struct, member, struct, member))
    for value in header.enumerators:
        lines.append('printf("%s=%%lld\\n", (long long)(%s));' % (value, value))
    for macro, is_string in header.macros.items():
        lines.append(('printf("%s=%%s\\n", %s);' if is_string else 'printf("%s=%%lld\\n", (long long)%s);')
                     % (macro, macro))
    return "\n".join(lines + ["return 0;", "}", ""])


def numbers(source, include):
    """{promise: number} of the program, compiled against that include folder."""
    with tempfile.TemporaryDirectory(prefix="mfn-abi-") as folder:
        path = pathlib.Path(folder, "layout.c")
        path.write_text(source)
        built = subprocess.run(["cc", "-std=c11", "-I", include, "-o", folder + "/layout", path],
                               capture_output=True, text=True)
        if built.returncode != 0:
            raise AssertionError("what compiled against a frozen header no longer does:\n" + built.stderr)
        printed = subprocess.run([folder + "/layout"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


def differences(frozen_dir, current_dir, name):
    """Every promise of the frozen header that the current one of that name does not keep."""
    frozen, current = Header(frozen_dir / name), Header(current_dir / name)
    wrong = []
    for struct, declared in frozen.structs.items():
        now = current.structs.get(struct, [])
        kept = now == declared if struct in FROZEN_TYPES else now[:len(declared)] == declared
        if not kept:
            wrong.append("%s: members were %s, are %s" % (struct, declared, now))
    wrong += ["not declared any more: " + d for d in frozen.declarations if d not in current.declarations]
    if wrong:
        return wrong
    source = program(name, frozen)
    try:
        before, after = numbers(source, frozen_dir), numbers(source, current_dir)
    except AssertionError as error:
        return [str(error)]
    for promise, was in before.items():
        grows = promise.startswith("sizeof ") and promise.split()[1] not in FROZEN_TYPES
        if not (int(after[promise]) >= int(was) if grows else after[promise] == was):
            wrong.append("%s was %s, is %s" % (promise, was, after[promise]))
    return wrong
