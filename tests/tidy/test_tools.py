#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_tools - the scripts that judge the tests are judged first: tap, check, bootstrap, and the test of the documents.

A lost or miscounted case would make every other result worthless.
"""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load(path):
    """A script without a suffix, as a module."""
    loader = importlib.machinery.SourceFileLoader(os.path.basename(path), path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def tap(script):
    done = subprocess.run([f"{TOP}/tools/tap", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("#")]


def tap_counts_several_groups_under_one_plan():
    assert tap("echo 1..1; echo 'ok 1 - a'; echo 1..1; echo 'ok 1 - b'") == (0, ["ok 1 - a", "ok 2 - b", "1..2"])


def tap_fails_when_a_case_fails_though_status_is_0():
    assert tap("echo 1..1; echo 'not ok 1 - a'") == (1, ["not ok 1 - a", "1..1"])


def tap_reads_cmocka_skips_with_their_reason():
    script = "echo 1..2; echo 'skip: no TRIM'; echo 'not ok 1 # SKIP a'; echo 'not ok 2 # SKIP b'"
    assert tap(script) == (0, ["ok 1 - a # SKIP no TRIM", "ok 2 - b # SKIP no reason given", "1..2"])


def tap_passes_on_a_plan_that_skips_all():
    assert tap("echo '1..0 # SKIP no kernel'") == (0, ["ok 1 - all # SKIP no kernel", "1..1"])


def tap_reports_a_crash_after_good_cases():
    assert tap("echo 1..2; echo 'ok 1 - a'; kill -SEGV $$") == (1, ["ok 1 - a", "not ok 2 - died by SIGSEGV after 1 cases", "1..2"])


def tap_reports_cases_that_did_not_run():
    assert tap("echo 1..2; echo 'ok 1 - a'") == (1, ["ok 1 - a", "not ok 2 - ran 1 of 2 planned cases", "1..2"])


def tap_reports_a_status_without_a_failed_case():
    assert tap("echo 1..1; echo 'ok 1 - a'; exit 23")[0] == 1


def tap_reports_a_failed_group_setup():
    assert tap("echo 1..1; echo 'not ok 0 - g [  FAILED  ] GROUP SETUP'; exit 1")[0] == 1


def tap_leaves_a_plain_program_its_status():
    assert tap("echo hello; exit 3") == (3, ["hello"])


def counted(result, stdout, returncode=0):
    check = load(f"{TOP}/tools/check")
    tally = check.Tally()
    quiet = os.dup(1)
    with open(os.devnull, "w", encoding="utf-8") as null:
        sys.stdout.flush()
        os.dup2(null.fileno(), 1)
        check.count(tally, "asan", {"name": "x / t", "result": result, "stdout": stdout, "returncode": returncode})
        sys.stdout.flush()
        os.dup2(quiet, 1)
    os.close(quiet)
    return tally.line()


def check_counts_cases_not_binaries():
    assert counted("OK", "ok 1 - a\nok 2 - b # SKIP why\nok 3 - c\n1..3\n") == "2 passed, 0 failed, 1 skipped"


def check_counts_a_failed_case_once():
    assert counted("ERROR", "ok 1 - a\nnot ok 2 - b\n1..2\n", 1) == "1 passed, 1 failed, 0 skipped"


def check_counts_a_timeout_after_good_cases():
    assert counted("TIMEOUT", "ok 1 - a\n") == "1 passed, 1 failed, 0 skipped"


def check_counts_a_silent_crash():
    assert counted("FAIL", "", 139) == "0 passed, 1 failed, 0 skipped"


def check_counts_a_plain_program_as_one():
    assert counted("OK", "words\n") == "1 passed, 0 failed, 0 skipped"


def bootstrap(text, *groups):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        env = {**os.environ, "BOOTSTRAP_LIST": file.name, "BOOTSTRAP_DRY_RUN": "1"}
        done = subprocess.run([f"{TOP}/tools/bootstrap", *groups], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout


def bootstrap_does_nothing_when_nothing_is_missing():
    assert bootstrap("build\tdpkg\tis always there\n", "build") == (0, "bootstrap: nothing to install (build)\n")


def bootstrap_names_what_is_missing_and_why():
    status, out = bootstrap("build\tdpkg\tthere\nbuild\tno-such-package\tbecause of this\nall\tother\tnot asked for\n", "build")
    assert "no-such-package" in out and "because of this" in out and "other" not in out and "dpkg" not in out
    assert status == 0 or "no sudo" in out


def bootstrap_refuses_an_unknown_group():
    assert bootstrap("build\tdpkg\tthere\n", "biuld")[0] == 1


def docs_test_sees_what_is_not_there():
    docs = load(f"{TOP}/tests/docs/test_docs.py")
    page = "```sh\nmake nothing\nbench/nothing x\nbuild/release/bench/no\nmake check\n```\n`src/nowhere` `docs/house.md` [x](no.md)\n"
    with tempfile.NamedTemporaryFile("w", suffix=".md") as file:
        file.write(page)
        file.flush()
        found = list(docs.problems_of(file.name, docs.make_targets(), set()))
    assert len(found) == 5, found


def main():
    cases = [(name, fn) for name, fn in globals().items()
             if name.startswith(("tap_", "check_", "bootstrap_", "docs_")) and callable(fn)]
    bad = 0
    lines = []
    for number, (name, fn) in enumerate(cases, 1):
        try:
            fn()
            lines.append(f"ok {number} - {name}")
        except AssertionError as why:
            bad += 1
            lines.append(f"not ok {number} - {name}\n# {why}")
    print("\n".join([*lines, f"1..{len(cases)}"]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
