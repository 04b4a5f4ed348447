#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_load - bench/bdev does what it was told, finds planted corruption, and refuses bad input.

  test_load.py PATH_OF_BDEV
"""
import json
import subprocess
import sys

BDEV = sys.argv[1]
RAM = "malloc:///ram?size_mb=4"


def bdev(*argv):
    done = subprocess.run([BDEV, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def report(*argv):
    status, out, err = bdev("--json", *argv)
    assert status == 0, err
    return json.loads(out)


def refused(*argv, words, status=2):
    found, out, err = bdev(*argv)
    assert found == status and not out and words in err and err.count("\n") == 1, (found, out, err)


def ios_are_counted_exactly():
    found = report("--ios", "1000", "--depth", "7", "--jobs", "3", RAM)
    assert found["ios"] == 3000 and found["read"]["ios"] == 3000, found
    assert 0 < found["p50_us"] <= found["p99_us"] <= found["max_us"], found


def mix_is_what_was_asked_for():
    found = report("--ios", "20000", "--rw", "randrw", "--mix", "70", RAM)
    share = found["read"]["ios"] / found["ios"]
    assert abs(share - 0.7) < 0.03, share


def all_modes_verify():
    for rw in ("read", "write", "rw", "randread", "randwrite", "randrw"):
        found = report("--ios", "3000", "--rw", rw, "--verify", RAM)
        assert found["verify_errors"] == 0 and found["errors"] == 0 and found["verified_blocks"] > 1000, (rw, found)


def trims_zeroes_and_flushes_verify():
    found = report("--ios", "5000", "--rw", "randrw", "--verify", "--fill", "--unmap", "20", "--zeroes", "20",
                   "--flush-every", "16", "--fua", "--bs", "8k", RAM)
    assert found["verify_errors"] == 0 and found["unmap"]["ios"] > 500, found
    assert found["write-zeroes"]["ios"] > 500 and found["flush"]["ios"] > 50, found


def several_devices_and_reactors_at_once():
    found = report("--ios", "2000", "--reactors", "2", "--rw", "randrw", "--verify", RAM,
                   "malloc:///other?size_mb=4")
    assert [d["ios"] for d in found["devices"]] == [4000, 4000] and found["verify_errors"] == 0, found


def runtime_is_kept():
    found = report("--runtime", "0.3", "--ramp", "0.1", RAM)
    assert 0.29 < found["seconds"] < 1.5, found["seconds"]


def corruption_is_found_and_named():
    status, _, err = bdev("--ios", "2000", "--rw", "randrw", "--verify", "--fill",
                          "fault:///f?rule=read,nth:900,corrupt&on=" + RAM)
    assert status == 1 and err.startswith("bdev: verify: fault:///f") and "wanted serial" in err, (status, err)


def io_errors_are_named_and_counted():
    fault = "fault:///f?rule=read,nth:100,status:EIO&on=" + RAM
    status, _, err = bdev("--ios", "2000", fault)
    assert status == 1 and "read of " in err and " at lba " in err and "failed: EIO" in err, (status, err)
    found = report("--ios", "2000", "--errors", "5", fault)
    assert found["errors"] >= 1, found


def bad_options_are_refused_by_name():
    refused("--bs", "4x", RAM, words="--bs '4x': must be a size")
    refused("--bs", "1000", RAM, words="--bs 1000 is not a multiple of its block size", status=3)
    refused("--depth", "0", RAM, words="--depth '0': must be a number, 1 to 4096")
    refused("--depth", "99999", RAM, words="--depth '99999': must be")
    refused("--jobs", "-1", RAM, words="--jobs '-1': must be")
    refused("--rw", "reed", RAM, words="--rw 'reed': must be read, write")
    refused("--runtime", "soon", RAM, words="--runtime 'soon': must be seconds")
    refused("--size", "1g", RAM, words="--size 1073741824 is more than its 4194304 bytes", status=3)
    refused("--unmap", "60", "--zeroes", "60", RAM, words="more than 100 together")
    refused("--ios", "5", "--ramp", "1", RAM, words="--ramp: not with --ios")
    refused(words="no device: give a URI")
    refused("nosuch:///x", words="nosuch", status=3)
    refused("--verify", "--depth", "4096", "--rw", "randwrite", RAM, words="too small", status=3)


def help_teaches():
    status, out, _ = bdev("--help")
    assert status == 0 and "--verify" in out and "malloc:///ram" in out


CASES = [value for name, value in list(globals().items())
         if callable(value) and name not in ("bdev", "report", "refused") and value.__module__ == __name__]


def main():
    bad = 0
    print(f"1..{len(CASES)}")
    for number, case in enumerate(CASES, 1):
        try:
            case()
            print(f"ok {number} - {case.__name__}")
        except Exception as why:  # a KeyError is as much a failure as an assertion
            bad += 1
            print(f"not ok {number} - {case.__name__}")
            print("".join(f"# {line}\n" for line in (type(why).__name__ + ": " + str(why)).splitlines()), end="")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
