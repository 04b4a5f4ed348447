// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz - the harness of all fuzz targets.
 *
 * A target is one function that takes any bytes, uses the code under test the way
 * a caller would, and checks with must() what has to hold for whatever bytes. It
 * leaves nothing behind: no leak, no state.
 *
 * It is linked:
 *   replay_<name>	with replay.c: runs every file of corpus/<name>, in `make check`
 *   fuzz_<name>	with driver.c: libFuzzer, where meson's option `fuzz` is on (clang)
 *   shower_<name>	with shower.c: random inputs, for what is too slow for libFuzzer
 *
 *	CC=clang meson setup build/fuzz -Dfuzz=true -Db_sanitize=address,undefined
 *	ninja -C build/fuzz && build/fuzz/tests/fuzz/fuzz_uri -max_len=256 tests/fuzz/corpus/uri
 *
 * A new target: fuzz_<name>.c, a word in meson.build, some seeds in corpus/<name>.
 * A finding is minimized (-minimize_crash=1) and becomes one more file there.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Always 0; FUZZ_TARGET is -D fuzz_<name>. */
int FUZZ_TARGET(const uint8_t *data, size_t size);

#endif
