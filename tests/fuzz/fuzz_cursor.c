// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_cursor - any program of cursor steps over any bytes stays within bounds,
 * and what was read can be built again (invariants C1..C3 of base/cursor.h).
 *
 *	input:	payload size (1 byte), payload, program
 *	step:	operation (1 byte), argument (1 byte)
 *
 * Each step is done on a cursor over the payload; what it read is built into a
 * second buffer, which must then hold the same bytes.
 */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "base/must.h"
#include "fuzz.h"

#define PAYLOAD_BYTES_MAX 255

static int step_number(struct cursor *c, struct builder *b, unsigned op)
{
	uint64_t v64 = 0;
	uint32_t v32 = 0;
	uint16_t v16 = 0;
	uint8_t v8 = 0;

	switch (op) {
	case 0:
		TRY(cursor_get_u8(c, &v8));
		return builder_put_u8(b, v8);
	case 1:
		TRY(cursor_get_le16(c, &v16));
		return builder_put_le16(b, v16);
	case 2:
		TRY(cursor_get_le32(c, &v32));
		return builder_put_le32(b, v32);
	case 3:
		TRY(cursor_get_le64(c, &v64));
		return builder_put_le64(b, v64);
	case 4:
		TRY(cursor_get_be16(c, &v16));
		return builder_put_be16(b, v16);
	case 5:
		TRY(cursor_get_be32(c, &v32));
		return builder_put_be32(b, v32);
	default:
		TRY(cursor_get_be64(c, &v64));
		return builder_put_be64(b, v64);
	}
}

static int step_bytes(struct cursor *c, struct builder *b, unsigned op, size_t count)
{
	uint8_t copy[PAYLOAD_BYTES_MAX + 1];
	const uint8_t *bytes;
	struct cursor sub;
	const char *text;
	uint8_t *to;

	switch (op) {
	case 7:
		TRY(cursor_get_bytes(c, &bytes, count));
		return builder_put_bytes(b, bytes, count);
	case 8:
		TRY(cursor_copy_bytes(c, copy, count));
		TRY(builder_reserve(b, &to, count));
		memcpy(to, copy, count);
		return 0;
	case 9:
		TRY(cursor_get_sub(c, &sub, count));
		TRY(cursor_get_bytes(&sub, &bytes, count));
		must(cursor_done(&sub) == 0);
		return builder_put_bytes(b, bytes, count);
	case 10:
		TRY(cursor_get_cstr(c, &text));
		return builder_put_cstr(b, text);
	case 11:
		bytes = c->data + c->pos;
		TRY(cursor_get_text(c, (char *)copy, count));
		must(strlen((char *)copy) <= count);
		return builder_put_bytes(b, bytes, count);
	default:
		bytes = c->data + c->pos;
		TRY(cursor_skip(c, count));
		return builder_put_bytes(b, bytes, count);
	}
}

/* Forward it is a skip; backward, what is read twice is built once. */
static int step_seek(struct cursor *c, struct builder *b, size_t pos)
{
	size_t before = c->pos;

	TRY(cursor_seek(c, pos));
	if (pos > before)
		return builder_put_bytes(b, c->data + before, pos - before);
	b->pos = pos;
	return 0;
}

static int step(struct cursor *c, struct builder *b, uint8_t op, uint8_t arg)
{
	op %= 14;
	if (op < 7)
		return step_number(c, b, op);
	return op < 13 ? step_bytes(c, b, op, arg) : step_seek(c, b, arg);
}

static void run(struct cursor *c, struct builder *b, struct cursor *program)
{
	uint8_t op, arg;

	while (cursor_get_u8(program, &op) == 0 && cursor_get_u8(program, &arg) == 0) {
		int status = c->status;
		int r = step(c, b, op, arg);

		must(c->pos <= c->size && b->pos <= b->size); /* C1 */
		must(status == 0 || r == status);	      /* C2 */
		must(r == 0 || r == -EBADMSG);		      /* C3: as much room as payload */
		must(b->status == 0 && c->pos == b->pos);
	}
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	size_t payload_size = size ? min_size(data[0], size - 1) : 0;
	struct cursor c, program;
	struct mem_heap heap;
	struct builder b;
	uint8_t *in, *out;

	if (size == 0)
		return 0;
	mem_heap_init(&heap);
	in = mem_dup(&heap.mem, data + 1, payload_size);
	out = mem_alloc(&heap.mem, payload_size);
	must(in && out);
	cursor_init(&c, in, payload_size);
	cursor_init(&program, data + 1 + payload_size, size - 1 - payload_size);
	builder_init(&b, out, payload_size);
	run(&c, &b, &program);
	must(memcmp(in, out, b.pos) == 0);
	mem_free(in);
	mem_free(out);
	mem_heap_fini(&heap);
	return 0;
}
