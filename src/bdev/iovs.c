/* SPDX-License-Identifier: Apache-2.0 */
/* iovs - a place in the data of a bio, and moving bytes to and from there. */
#include <string.h>

#include "base/must.h"
#include "bdev/iovs.h"

uint64_t iov_bytes(const struct iovec *iov, uint32_t iov_count)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < iov_count; i++)
		if (__builtin_add_overflow(bytes, iov[i].iov_len, &bytes))
			return UINT64_MAX;
	return bytes;
}

/* What is next and lies together; at most `bytes`. Empty iovecs are passed over. */
static size_t iov_piece(struct iov_pos *pos, uint64_t bytes, uint8_t **ret)
{
	while (pos->left && pos->off == pos->iov->iov_len) {
		pos->iov++;
		pos->left--;
		pos->off = 0;
	}
	must(pos->left);
	*ret = (uint8_t *)pos->iov->iov_base + pos->off;
	return (size_t)min_u64(bytes, pos->iov->iov_len - pos->off);
}

void iov_skip(struct iov_pos *pos, uint64_t bytes)
{
	uint8_t *piece;

	while (bytes) {
		size_t len = iov_piece(pos, bytes, &piece);

		pos->off += len;
		bytes -= len;
	}
}

void iov_copy_from(struct iov_pos *pos, void *to, uint64_t bytes)
{
	uint8_t *piece, *at = to;

	while (bytes) {
		size_t len = iov_piece(pos, bytes, &piece);

		memcpy(at, piece, len);
		at += len;
		pos->off += len;
		bytes -= len;
	}
}

void iov_copy_to(struct iov_pos *pos, const void *from, uint64_t bytes)
{
	const uint8_t *at = from;
	uint8_t *piece;

	while (bytes) {
		size_t len = iov_piece(pos, bytes, &piece);

		memcpy(piece, at, len);
		at += len;
		pos->off += len;
		bytes -= len;
	}
}

static size_t bytes_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t same = 0;

	if (memcmp(a, b, len) == 0)
		return len;
	while (a[same] == b[same])
		same++;
	return same;
}

uint64_t iov_compare(struct iov_pos *pos, const void *with, uint64_t bytes)
{
	const uint8_t *at = with;
	uint8_t *piece;
	uint64_t same = 0;

	while (same < bytes) {
		size_t len = iov_piece(pos, bytes - same, &piece);
		size_t equal = bytes_equal(piece, at + same, len);

		pos->off += equal;
		same += equal;
		if (equal < len)
			break;
	}
	return same;
}

/* Give back what is over a whole number of granules. */
static uint64_t iov_trim(uint64_t total, uint32_t granule, struct iovec *iov, uint32_t *count)
{
	uint64_t over = total & (granule - 1);

	total -= over;
	while (over) {
		struct iovec *last = &iov[*count - 1];

		if (last->iov_len > over) {
			last->iov_len -= over;
			break;
		}
		over -= last->iov_len;
		--*count;
	}
	return total;
}

uint64_t iov_take(struct iov_pos *pos, uint64_t bytes, const struct iov_rule *rule,
		  struct iovec *ret, uint32_t *ret_count)
{
	struct iov_pos at = *pos;
	uint64_t total = 0;
	uint32_t count = 0;
	uint8_t *piece;

	while (total < bytes && count < rule->iov_max) {
		size_t len = iov_piece(&at, bytes - total, &piece);
		size_t fit = len & ~(size_t)rule->len_mask;

		if (((uintptr_t)piece & rule->base_mask) || fit == 0)
			break;
		ret[count++] = (struct iovec){ .iov_base = piece, .iov_len = fit };
		total += fit;
		at.off += fit;
	}
	total = iov_trim(total, rule->granule, ret, &count);
	iov_skip(pos, total);
	*ret_count = count;
	return total;
}
