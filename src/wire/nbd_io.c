// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_io - the transmission phase of NBD. Q1, Q2 and the layouts stand in nbd_io.h.
 */
#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/must.h"
#include "wire/nbd_io.h"
#include "wire/nbd_option.h"

uint32_t nbd_error_of(int error)
{
	switch (error) {
	case 0:
		return NBD_OK;
	case -EROFS:
	case -EPERM:
	case -EACCES:
		return NBD_EPERM;
	case -ENOMEM:
		return NBD_ENOMEM;
	case -EINVAL:
		return NBD_EINVAL;
	case -ENOSPC:
	case -EFBIG:
	case -EDQUOT:
		return NBD_ENOSPC;
	case -EOVERFLOW:
		return NBD_EOVERFLOW;
	case -ENOTSUP:
		return NBD_ENOTSUP;
	case -ESHUTDOWN:
	case -ENODEV:
	case -ESTALE:
		return NBD_ESHUTDOWN;
	default:
		return NBD_EIO;
	}
}

int nbd_error_to(uint32_t error)
{
	switch (error) {
	case NBD_OK:
		return 0;
	case NBD_EPERM:
		return -EROFS;
	case NBD_EIO:
		return -EIO;
	case NBD_ENOMEM:
		return -ENOMEM;
	case NBD_ENOSPC:
		return -ENOSPC;
	case NBD_EOVERFLOW:
		return -EOVERFLOW;
	case NBD_ENOTSUP:
		return -ENOTSUP;
	case NBD_ESHUTDOWN:
		return -ENODEV;
	default:
		return -EINVAL;
	}
}

void nbd_request_encode(const struct nbd_request *request, uint8_t ret[NBD_REQUEST_BYTES])
{
	be32_put(ret, NBD_REQUEST_MAGIC);
	be16_put(ret + 4, request->flags);
	be16_put(ret + 6, request->type);
	be64_put(ret + 8, request->cookie);
	be64_put(ret + 16, request->offset);
	be32_put(ret + 24, request->length);
}

int nbd_request_decode(const uint8_t *bytes, size_t size, struct nbd_request *ret)
{
	if (size < NBD_REQUEST_BYTES || be32_get(bytes) != NBD_REQUEST_MAGIC)
		return -EBADMSG;
	*ret = (struct nbd_request){
		.flags = be16_get(bytes + 4),
		.type = be16_get(bytes + 6),
		.cookie = be64_get(bytes + 8),
		.offset = be64_get(bytes + 16),
		.length = be32_get(bytes + 24),
	};
	return 0;
}

/* Which flags go with a command, and which transmission flag offers it; no DISC, no RESIZE. */
static const struct {
	bool known;
	bool writes;
	uint16_t flags; /* FUA is good with all of them */
	uint16_t offered_by;
} request_kinds[] = {
	[NBD_CMD_READ] = { true, false, NBD_CMD_DF, 0 },
	[NBD_CMD_WRITE] = { true, true, 0, 0 },
	[NBD_CMD_FLUSH] = { true, false, 0, NBD_FLAG_SEND_FLUSH },
	[NBD_CMD_TRIM] = { true, true, 0, NBD_FLAG_SEND_TRIM },
	[NBD_CMD_CACHE] = { true, false, 0, NBD_FLAG_SEND_CACHE },
	[NBD_CMD_WRITE_ZEROES] = { true, true, NBD_CMD_NO_HOLE | NBD_CMD_FAST_ZERO,
				   NBD_FLAG_SEND_WRITE_ZEROES },
	[NBD_CMD_BLOCK_STATUS] = { true, false, NBD_CMD_REQ_ONE, 0 },
};

static bool request_offered(const struct nbd_request *request, const struct nbd_rules *rules)
{
	uint16_t flags = 0;

	if (request->type >= ARRAY_LEN(request_kinds) || !request_kinds[request->type].known)
		return false;
	if (request_kinds[request->type].offered_by & ~rules->flags)
		return false;
	if (request->type == NBD_CMD_BLOCK_STATUS && !rules->meta)
		return false;
	flags = request_kinds[request->type].flags;
	if (rules->flags & NBD_FLAG_SEND_FUA)
		flags |= NBD_CMD_FUA;
	if (!(rules->flags & NBD_FLAG_SEND_DF))
		flags &= (uint16_t)~NBD_CMD_DF;
	if (!(rules->flags & NBD_FLAG_SEND_FAST_ZERO))
		flags &= (uint16_t)~NBD_CMD_FAST_ZERO;
	return !(request->flags & ~flags);
}

static bool request_has_data(const struct nbd_request *request)
{
	return request->type == NBD_CMD_READ || request->type == NBD_CMD_WRITE;
}

uint32_t nbd_request_check(const struct nbd_request *request, const struct nbd_rules *rules)
{
	if (!request_offered(request, rules))
		return NBD_EINVAL;
	if (request_kinds[request->type].writes && rules->flags & NBD_FLAG_READ_ONLY)
		return NBD_EPERM;
	if (request->type == NBD_CMD_FLUSH)
		return request->offset || request->length ? NBD_EINVAL : NBD_OK;
	if (request->length == 0 ||
	    (request_has_data(request) && request->length > rules->payload_max))
		return NBD_EINVAL;
	if (request->offset > rules->size_bytes ||
	    request->length > rules->size_bytes - request->offset)
		return request->type == NBD_CMD_WRITE || request->type == NBD_CMD_WRITE_ZEROES ?
			       NBD_ENOSPC :
			       NBD_EINVAL;
	if ((request->offset | request->length) & (rules->block_min - 1))
		return NBD_EINVAL;
	return NBD_OK;
}

void nbd_simple_encode(const struct nbd_simple *reply, uint8_t ret[NBD_SIMPLE_BYTES])
{
	be32_put(ret, NBD_SIMPLE_MAGIC);
	be32_put(ret + 4, reply->error);
	be64_put(ret + 8, reply->cookie);
}

void nbd_chunk_encode(const struct nbd_chunk *chunk, uint8_t ret[NBD_CHUNK_BYTES])
{
	be32_put(ret, NBD_STRUCTURED_MAGIC);
	be16_put(ret + 4, chunk->flags);
	be16_put(ret + 6, chunk->type);
	be64_put(ret + 8, chunk->cookie);
	be32_put(ret + 16, chunk->length);
}

int nbd_answer_decode(const uint8_t *bytes, size_t size, bool structured, struct nbd_answer *ret)
{
	if (size < 4)
		return 4;
	if (be32_get(bytes) == NBD_SIMPLE_MAGIC) {
		if (size < NBD_SIMPLE_BYTES)
			return NBD_SIMPLE_BYTES;
		*ret = (struct nbd_answer){
			.simple = true,
			.error = be32_get(bytes + 4),
			.chunk.cookie = be64_get(bytes + 8),
		};
		return 0;
	}
	if (be32_get(bytes) != NBD_STRUCTURED_MAGIC || !structured)
		return -EBADMSG;
	if (size < NBD_CHUNK_BYTES)
		return NBD_CHUNK_BYTES;
	*ret = (struct nbd_answer){
		.chunk = {
			.flags = be16_get(bytes + 4),
			.type = be16_get(bytes + 6),
			.cookie = be64_get(bytes + 8),
			.length = be32_get(bytes + 16),
		},
	};
	return 0;
}

static bool chunk_fits(const struct nbd_chunk *chunk, const struct nbd_request *request)
{
	bool read = request->type == NBD_CMD_READ;

	switch (chunk->type) {
	case NBD_CHUNK_NONE:
		return chunk->length == 0 && chunk->flags & NBD_CHUNK_DONE;
	case NBD_CHUNK_DATA:
		return read && chunk->length > NBD_DATA_BYTES &&
		       chunk->length - NBD_DATA_BYTES <= request->length;
	case NBD_CHUNK_HOLE:
		return read && chunk->length == NBD_HOLE_BYTES;
	case NBD_CHUNK_BLOCK_STATUS:
		return request->type == NBD_CMD_BLOCK_STATUS && chunk->length > NBD_STATUS_BYTES &&
		       (chunk->length - NBD_STATUS_BYTES) % NBD_EXTENT_BYTES == 0 &&
		       (chunk->length - NBD_STATUS_BYTES) / NBD_EXTENT_BYTES <= NBD_EXTENTS_MAX;
	default:
		return chunk->type & NBD_CHUNK_IS_ERROR && chunk->length >= 6 &&
		       chunk->length <= NBD_ERROR_MAX;
	}
}

static bool simple_fits(const struct nbd_answer *answer, const struct nbd_request *request,
			bool structured)
{
	if (request->type == NBD_CMD_READ)
		return !structured;
	return request->type != NBD_CMD_BLOCK_STATUS || answer->error;
}

int nbd_answer_check(const struct nbd_answer *answer, const struct nbd_request *request,
		     bool structured)
{
	bool fits = answer->simple ? simple_fits(answer, request, structured) :
				     chunk_fits(&answer->chunk, request);

	return fits && answer->chunk.cookie == request->cookie ? 0 : -EBADMSG;
}

void nbd_data_encode(uint64_t offset, uint8_t ret[NBD_DATA_BYTES])
{
	be64_put(ret, offset);
}

void nbd_hole_encode(const struct nbd_range *hole, uint8_t ret[NBD_HOLE_BYTES])
{
	be64_put(ret, hole->offset);
	be32_put(ret + 8, hole->length);
}

int nbd_range_decode(const struct nbd_chunk *chunk, const uint8_t *body, size_t size,
		     const struct nbd_request *request, struct nbd_range *ret)
{
	bool hole = chunk->type == NBD_CHUNK_HOLE;
	struct nbd_range range;

	if (size < (hole ? NBD_HOLE_BYTES : NBD_DATA_BYTES) || chunk->length < NBD_DATA_BYTES)
		return -EBADMSG;
	range = (struct nbd_range){
		.offset = be64_get(body),
		.length = hole ? be32_get(body + 8) : chunk->length - NBD_DATA_BYTES,
	};
	if (range.length == 0 || range.offset < request->offset ||
	    range.offset - request->offset > request->length ||
	    range.length > request->length - (range.offset - request->offset))
		return -EBADMSG;
	*ret = range;
	return 0;
}

void nbd_status_encode(uint32_t context, uint8_t ret[NBD_STATUS_BYTES])
{
	be32_put(ret, context);
}

void nbd_extent_encode(const struct nbd_extent *extent, uint8_t ret[NBD_EXTENT_BYTES])
{
	be32_put(ret, extent->length);
	be32_put(ret + 4, extent->flags);
}

int nbd_status_decode(const uint8_t *body, size_t size, uint32_t *ret_context, size_t *ret_extents)
{
	if (size <= NBD_STATUS_BYTES || (size - NBD_STATUS_BYTES) % NBD_EXTENT_BYTES)
		return -EBADMSG;
	*ret_context = be32_get(body);
	*ret_extents = (size - NBD_STATUS_BYTES) / NBD_EXTENT_BYTES;
	return 0;
}

int nbd_extent_decode(const uint8_t *body, size_t i, struct nbd_extent *ret)
{
	const uint8_t *at = body + NBD_STATUS_BYTES + i * NBD_EXTENT_BYTES;

	if (be32_get(at) == 0)
		return -EBADMSG;
	*ret = (struct nbd_extent){ .length = be32_get(at), .flags = be32_get(at + 4) };
	return 0;
}

size_t nbd_failure_encode(const struct nbd_failure *failure, uint8_t *ret)
{
	size_t at = 6 + failure->text_length;

	must(failure->text_length <= NBD_ERROR_TEXT_MAX);
	be32_put(ret, failure->error);
	be16_put(ret + 4, failure->text_length);
	if (failure->text_length)
		memcpy(ret + 6, failure->text, failure->text_length);
	if (failure->has_offset) {
		be64_put(ret + at, failure->offset);
		at += 8;
	}
	return at;
}

int nbd_failure_decode(const struct nbd_chunk *chunk, const uint8_t *body, size_t size,
		       struct nbd_failure *ret)
{
	bool has_offset = chunk->type == NBD_CHUNK_ERROR_OFFSET;
	size_t fixed = has_offset ? 14 : 6;
	uint16_t text_length;

	if (size < fixed || be32_get(body) == 0)
		return -EBADMSG;
	text_length = be16_get(body + 4);
	/* an unknown kind of error may have more behind its text */
	if (text_length > NBD_ERROR_TEXT_MAX || text_length > size - fixed ||
	    (text_length < size - fixed && (has_offset || chunk->type == NBD_CHUNK_ERROR)))
		return -EBADMSG;
	*ret = (struct nbd_failure){
		.error = be32_get(body),
		.text = (const char *)body + 6,
		.text_length = text_length,
		.has_offset = has_offset,
		.offset = has_offset ? be64_get(body + 6 + text_length) : 0,
	};
	return 0;
}
