# SPDX-License-Identifier: Apache-2.0
"""
tap - the cases of a test in Python, run in the order in which they stand and told one by one.

    sys.path.insert(1, f"{sys.path[0]}/../..")  # from the script's folder to this one
    import tap

    @tap.case
    def a_share_is_kept(world): ...

    sys.exit(tap.main(World))

World() is entered as a context, and left in the end with no exception, whatever became of the cases. If it has
last_words(), they are told with each case that failed. A case that cannot run here raises Skip.
"""
import os
import shutil
import sys
import tempfile
import traceback

cases = []  # (name, function of the world)


class Skip(Exception):
    """Why a case cannot run on this machine."""


class Folder:
    """A world may be one: `dir`, in memory if there is some, as nothing here is about what a disk does."""

    def __init__(self):
        memory = "/dev/shm"
        self.dir = tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None)

    def close(self):
        shutil.rmtree(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def add(name, fn):
    cases.append((name, fn))


def case(fn):
    add(fn.__name__, fn)
    return fn


def skip(name, why):
    """All of the test, by this name. The end."""
    print(f"1..1\nok 1 - {name} # SKIP {why}")
    sys.exit(0)


def holds(world, number, name, fn):
    try:
        fn(world)
    except Skip as why:
        print(f"ok {number} - {name} # SKIP {why}", flush=True)
    except Exception:  # whatever went wrong, the other cases are told too
        said = getattr(world, "last_words", str)()
        print(f"not ok {number} - {name}")
        print("# " + (traceback.format_exc() + said).rstrip().replace("\n", "\n# "), flush=True)
        return False
    else:
        print(f"ok {number} - {name}", flush=True)
    return True


def main(make_world):
    """All cases in one world. The exit status."""
    with make_world() as world:
        print(f"1..{len(cases)}", flush=True)
        return not all([holds(world, number, *one) for number, one in enumerate(cases, 1)])


def main_apart(make_world):
    """Each case in a world of its own. The exit status."""
    failed = False
    print(f"1..{len(cases)}", flush=True)
    for number, one in enumerate(cases, 1):
        with make_world() as world:
            failed |= not holds(world, number, *one)
    return failed
