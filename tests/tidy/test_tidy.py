#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_tidy - every rule of tools/tidy fires on a planted violation, and on nothing else.

A clean tree of five floors is written and must pass. Then, per case, one file
is changed or added, and exactly the named rules must fail.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"

CLEAN = {
    "README.md": "<!-- SPDX-License-Identifier: Apache-2.0 -->\n",
    "tools/script": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n",
    "tests/fuzz/corpus/uri/1": "bytes without a licence",
    "src/base/list.h": SPDX + "#ifndef L\n#define L\n#include <stddef.h>\nsize_t list_len(void);\n#endif\n",
    "src/base/list.c": SPDX + '#include "base/list.h"\n#include <stdlib.h>\n'
                       "size_t list_len(void)\n{\n\tchar *p = malloc(3);\n\tfree(p);\n\treturn 3;\n}\n",
    "src/base/meson.build": "# SPDX-License-Identifier: Apache-2.0\nx = files('list.c')\n",
    "src/io/io.h": SPDX + "#ifndef I\n#define I\nint io_open(const char *path);\n#endif\n",
    "src/io/io_priv.h": SPDX + "#ifndef IP\n#define IP\n#endif\n",
    "src/io/io.c": SPDX + '#include "io/io.h"\n#include "io/io_priv.h"\n#include <fcntl.h>\n'
                   "int io_open(const char *path)\n{\n\treturn open(path, O_RDONLY);\n}\n",
    "src/io/uring.c": SPDX + "#include <liburing.h>\n",
    "src/io/meson.build": "# SPDX-License-Identifier: Apache-2.0\nx = files('io.c', 'uring.c')\n",
    "src/bdev/bdev.h": SPDX + '#ifndef B\n#define B\nstruct ops { int (*open)(int); };\nint bdev_open(int fd);\n#endif\n',
    "src/bdev/bdev.c": SPDX + '#include "bdev/bdev.h"\n#include "base/list.h"\n#include "io/io.h"\n'
                       "static const struct ops *const table[] = { NULL };\n"
                       "/* open(2) and malloc() are named in a comment: fine */\n"
                       'static const char text[] = "read() // free()";\n'
                       "int bdev_open(int fd)\n{\n\tconst struct ops *ops = table[0];\n"
                       "\treturn ops ? ops->open(fd) : text[0] + io_open(text);\n}\n",
    "src/bdev/meson.build": "# SPDX-License-Identifier: Apache-2.0\nx = files('bdev.c')\n",
    "src/drivers/null.h": SPDX + '#ifndef N\n#define N\n#include "bdev/bdev.h"\n#endif\n',
    "src/nexus/nexus.h": SPDX + '#ifndef X\n#define X\n#include "bdev/bdev.h"\n#endif\n',
}


def tail(name, text):
    return {name: CLEAN[name] + text}


# what is planted -> (files changed, None = deleted; rules that must fail)
PLANTED = {
    "clean tree passes": ({}, []),
    "include up fails": (tail("src/base/list.h", '#include "io/io.h"\n'), ["ladder"]),
    "include sideways fails": (tail("src/drivers/null.h", '#include "nexus/nexus.h"\n'), ["ladder"]),
    "unknown folder fails": ({"src/misc/x.h": SPDX}, ["ladder"]),
    "header of another room's inside fails": (tail("src/bdev/bdev.c", '#include "io/io_priv.h"\n'), ["ladder"]),
    "include not written from src fails": (tail("src/io/io.c", '#include "io_priv.h"\n'), ["ladder"]),
    "circle of includes fails": (
        {"src/bdev/a.h": SPDX + '#ifndef A\n#define A\n#include "bdev/b.h"\n#endif\n',
         "src/bdev/b.h": SPDX + '#ifndef BB\n#define BB\n#include "bdev/a.h"\n#endif\n'}, ["circles"]),
    "raw call outside io fails": (
        tail("src/bdev/bdev.c", "#include <unistd.h>\nvoid bdev_x(void);\nvoid bdev_x(void)\n{\n\t(void)close(3);\n}\n"),
        ["calls", "symbols"]),
    "malloc outside base and io fails": (
        tail("src/bdev/bdev.c", "#include <stdlib.h>\nvoid *bdev_x(void);\nvoid *bdev_x(void)\n{\n\treturn malloc(3);\n}\n"),
        ["calls", "symbols"]),
    "raw call through a pointer fails": (
        tail("src/bdev/bdev.c", "#include <stdlib.h>\nvoid *bdev_x(void);\nvoid *bdev_x(void)\n"
             "{\n\tvoid *(*volatile fn)(size_t) = malloc;\n\treturn fn(3);\n}\n"), ["symbols"]),
    "clock outside io fails": (
        tail("src/base/list.c", "#include <time.h>\nlong list_t(void);\nlong list_t(void)\n{\n\treturn time(NULL);\n}\n"),
        ["calls", "symbols"]),
    "atomics outside reactor and io fail": (
        tail("src/base/list.c", "int list_a(int *p);\nint list_a(int *p)\n{\n\treturn __atomic_load_n(p, 5);\n}\n"),
        ["calls"]),
    "pthread outside reactor and io fails": (
        tail("src/base/list.c", "#include <pthread.h>\nlong list_t(void);\nlong list_t(void)\n"
             "{\n\treturn (long)pthread_self();\n}\n"), ["calls", "symbols"]),
    "foreign header outside its file fails": (tail("src/io/io.c", "#include <liburing.h>\n"), ["foreign"]),
    "unnamed foreign header fails": (tail("src/io/io.c", "#include <cmocka_nowhere.h>\n"), ["foreign", "compile"]),
    "missing licence line fails": ({"docs/x.md": "# text\n"}, ["spdx"]),
    "licence not in the first line fails": ({"src/base/x.h": "\n" + SPDX}, ["spdx"]),
    "source in no meson.build fails": ({"src/base/lost.c": SPDX + '#include "base/list.h"\n'}, ["built"]),
    "header that needs another first fails": (
        {"src/base/x.h": SPDX + "#ifndef XX\n#define XX\nsize_t x(void);\n#endif\n"}, ["headers"]),
    "header without a guard fails": ({"src/base/x.h": SPDX + "struct x { int y; };\n"}, ["headers"]),
    ".data fails": (tail("src/base/list.c", "int *list_g(void);\nint *list_g(void)\n"
                         "{\n\tstatic int g = 3;\n\treturn &g;\n}\n"), ["globals"]),
    ".bss fails": (tail("src/base/list.c", "int *list_g(void);\nint *list_g(void)\n"
                        "{\n\tstatic int g;\n\treturn &g;\n}\n"), ["globals"]),
    ".tdata fails": (tail("src/base/list.c", "int *list_g(void);\nint *list_g(void)\n"
                          "{\n\tstatic __thread int g = 3;\n\treturn &g;\n}\n"), ["globals"]),
    ".tbss fails": (tail("src/base/list.c", "int *list_g(void);\nint *list_g(void)\n"
                         "{\n\tstatic __thread int g;\n\treturn &g;\n}\n"), ["globals"]),
    "object built without frame limit fails": ({"flags": ""}, ["frames"]),
}


def write_tree(root, files):
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def compile_tree(root, files, flags):
    """What a release build would leave: objects and compile_commands.json. Returns false if one does not compile."""
    build = os.path.join(root, "build")
    os.makedirs(build, exist_ok=True)
    commands, good = [], True
    for name in sorted(files):
        if name.endswith(".c"):
            obj = name.replace("/", "_") + ".o"
            argv = ["gcc", "-O2", "-D_GNU_SOURCE", *flags.split(), "-I../src", "-c", f"../{name}", "-o", obj]
            good &= subprocess.run(argv, cwd=build, stderr=subprocess.DEVNULL).returncode == 0
            commands.append({"directory": build, "file": f"../{name}", "output": obj, "command": " ".join(argv)})
    with open(os.path.join(build, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(commands, file)
    return good


def failing_rules(changes):
    files = {**CLEAN, **changes}
    flags = files.pop("flags", "-Wframe-larger-than=1024")
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, files)
        failed = [] if compile_tree(root, files, flags) else ["compile"]
        done = subprocess.run([f"{TOP}/tools/tidy", "--root", root, "--build", f"{root}/build"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        failed += re.findall(r"^not ok \d+ - (\w+):", done.stdout, re.M)
        if bool(done.returncode) != bool([f for f in failed if f != "compile"]):
            failed.append("exit status")
        return sorted(failed), done.stdout


def main():
    bad = 0
    print(f"1..{len(PLANTED)}")
    for number, (name, (changes, rules)) in enumerate(PLANTED.items(), 1):
        failed, out = failing_rules(changes)
        good = failed == sorted(rules)
        bad += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            print(f"# expected {sorted(rules)}, got {failed}")
            print("".join(f"# {line}\n" for line in out.splitlines() if line.startswith(("not ok", "#  ", "Trace", " "))))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
