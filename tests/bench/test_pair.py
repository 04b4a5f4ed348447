#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_pair - bench/pair tells a planted truth from a planted lie.

Fake commands print made-up figures; nothing here depends on the speed of the machine.
"""
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIO = {"fio version": "fio-3.33", "jobs": [{
    "error": 0, "job_runtime": 1000, "usr_cpu": 10.0, "sys_cpu": 15.0,
    "read": {"total_ios": 500, "iops": 500.0, "bw_bytes": 2048000,
             "clat_ns": {"N": 500, "mean": 7000.0, "percentile": {"50.000000": 6000, "99.000000": 9000}}},
    "write": {"total_ios": 0, "iops": 0.0, "bw_bytes": 0, "clat_ns": {"N": 0}}}]}


def fake(**metrics):
    """A command that prints this."""
    return "printf '%s' '" + json.dumps(metrics) + "'"


def drifting(path, factor):
    """A figure that doubles every second call, times a factor: the drift of a machine, much exaggerated."""
    return (f"sh -c 'n=$(cat {path} 2>/dev/null || echo 0); echo $((n + 1)) >{path}; "
            f"python3 -c \"print({{}}.__class__(iops=2.0 ** ($n // 2) * {factor}))\" | tr \"\\047\" \"\\042\"'")


def pair(*argv):
    done = subprocess.run([f"{TOP}/bench/pair", "--quiet", *argv], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def report(*argv):
    status, out, err = pair("--json", "-", "--pairs", "5", *argv)
    assert status == 0, err
    return json.loads(out)


def equal_commands_have_ratio_one():
    found = report(fake(iops=100), fake(iops=100))["summary"]["iops"]
    assert (found["ratio"], found["low"], found["high"]) == (1, 1, 1), found


def ratio_is_a_over_b():
    found = report(fake(iops=90), fake(iops=100))["summary"]["iops"]
    assert abs(found["ratio"] - 0.9) < 1e-9 and found["a"] == 90 and found["b"] == 100, found


def drift_cancels_within_a_pair():
    with tempfile.TemporaryDirectory() as room:
        found = report("--pairs", "8", drifting(f"{room}/n", 3), drifting(f"{room}/n", 2))["summary"]["iops"]
    assert abs(found["ratio"] - 1.5) < 1e-9, found
    assert found["low"] == found["high"], found


def order_is_abba():
    with tempfile.TemporaryDirectory() as room:
        log = f"{room}/log"
        say = "sh -c 'printf {} >>{}; echo \"{{\\\"iops\\\": 1}}\"'"
        report("--pairs", "4", "--warm-up", "0", say.format("A", log), say.format("B", log))
        with open(log, encoding="utf-8") as file:
            order = file.read()
    assert order == "ABBAABBA", order


def planted_slowness_fails_the_expectation():
    status, out, _ = pair("--pairs", "3", "--expect", "iops>=0.97", fake(iops=96), fake(iops=100))
    assert status == 0 and "FAIL: iops >= 0.97: 0.960" in out, out
    status, out, _ = pair("--pairs", "3", "--expect", "iops>=0.97", fake(iops=98), fake(iops=100))
    assert status == 0 and "pass: iops >= 0.97: 0.980" in out, out


def upper_bounds_fail_too():
    _, out, _ = pair("--pairs", "3", "--expect", "p99_us<=1.05", fake(p99_us=2), fake(p99_us=1))
    assert "FAIL: p99_us <= 1.05: 2.000" in out, out


def gate_sets_the_exit_status():
    slow = ["--pairs", "3", "--gate", "--expect", "iops>=0.97", fake(iops=1), fake(iops=100)]
    assert pair(*slow)[0] == 1
    fast = ["--pairs", "3", "--gate", "--expect", "iops>=0.97", fake(iops=100), fake(iops=1)]
    assert pair(*fast)[0] == 0


def failed_command_is_never_a_figure():
    status, out, err = pair("--pairs", "2", "sh -c 'echo no such disk >&2; exit 3'", fake(iops=1))
    assert status == 2 and not out and "status 3" in err and "no such disk" in err, err


def output_without_json_is_refused():
    status, _, err = pair("--pairs", "2", fake(iops=1), "echo 12")
    assert status == 2 and "B: it printed no JSON object" in err, err


def missing_metric_is_refused():
    status, _, err = pair("--pairs", "2", "--expect", "iops>=1", fake(p50_us=1), fake(p50_us=1))
    assert status == 2 and "'iops'" in err, err


def bad_expectation_is_a_usage_error():
    status, _, err = pair("--expect", "iops=1", fake(iops=1), fake(iops=1))
    assert status == 2 and "'iops=1' is not METRIC>=NUMBER" in err, err


def interval_is_the_same_for_the_same_data():
    def noisy(room, name):
        return drifting(f"{room}/{name}", "1 + $n % 3")
    found = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as room:
            found.append(report("--pairs", "7", noisy(room, "a"), fake(iops=10))["summary"])
    assert found[0]["iops"] == found[1]["iops"], found
    assert found[0]["iops"]["low"] < found[0]["iops"]["ratio"] < found[0]["iops"]["high"], found


def interval_covers_doubt():
    swing = "(0.9 if $n % 2 else 1.1) / 2.0 ** ($n // 2)"
    with tempfile.TemporaryDirectory() as room:
        _, out, _ = pair("--pairs", "7", "--warm-up", "0", "--expect", "iops>=1",
                         drifting(f"{room}/a", swing), fake(iops=1))
    assert "pass: iops >= 1: 1.100 (0.900 .. 1.100, within the noise of this run)" in out, out


def fio_json_is_understood():
    text = json.dumps(FIO)
    found = report(f"printf '%s' '{text}'", fake(iops=250, self_cpu_us_per_io=1, p50_us=3, ios=500))["summary"]
    assert found["iops"]["ratio"] == 2 and found["p50_us"]["a"] == 6, found
    assert abs(report(f"printf '%s' '{text}'", fake(ios=1, cpu_us_per_io=250))["summary"]
               ["self_cpu_us_per_io"]["a"] - 500) < 1e-6


def processor_time_is_measured_from_outside():
    burn = "sh -c 'python3 -c \"for i in range(6000000): pass\"; echo \"{\\\"ios\\\": 1000}\"'"
    rest = "sh -c 'sleep 0.2; echo \"{\\\"ios\\\": 1000}\"'"
    found = report("--pairs", "2", "--warm-up", "0", burn, rest)["summary"]
    assert found["cpu_us_per_io"]["a"] > 40 and found["cpu_us_per_io"]["b"] < 30, found


def start_up_is_subtracted():
    burn = "sh -c 'python3 -c \"for i in range(4000000): pass\"; echo \"{\\\"ios\\\": 1000}\"'"
    found = report("--pairs", "2", "--zero-a", burn, burn, burn)["summary"]["cpu_us_per_io"]
    assert found["a"] < found["b"] * 0.7, found


def json_file_holds_the_raw_rows():
    with tempfile.TemporaryDirectory() as room:
        status, out, err = pair("--pairs", "2", "--json", f"{room}/x", fake(iops=1), fake(iops=2))
        assert status == 0 and "ratio" in out, err
        with open(f"{room}/x", encoding="utf-8") as file:
            found = json.load(file)
    assert [row["b"]["iops"] for row in found["rows"]] == [2, 2], found


CASES = [value for name, value in list(globals().items())
         if callable(value) and name not in ("fake", "drifting", "pair", "report") and value.__module__ == __name__]


def main():
    bad = 0
    print(f"1..{len(CASES)}")
    for number, case in enumerate(CASES, 1):
        try:
            case()
            print(f"ok {number} - {case.__name__}")
        except AssertionError as why:
            bad += 1
            print(f"not ok {number} - {case.__name__}")
            print("".join(f"# {line}\n" for line in str(why).splitlines()), end="")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
