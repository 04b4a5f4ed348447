// SPDX-License-Identifier: Apache-2.0
/*
 * srv_head - the headers of a request.
 */
#include "rpc/srv_head_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/text_priv.h"

#define GRPC_TYPE "application/grpc"

enum pseudo { PSEUDO_METHOD, PSEUDO_PATH, PSEUDO_SCHEME, PSEUDO_AUTHORITY, PSEUDOS };

static const char *const pseudo_names[PSEUDOS] = {
	[PSEUDO_METHOD] = ":method",
	[PSEUDO_PATH] = ":path",
	[PSEUDO_SCHEME] = ":scheme",
	[PSEUDO_AUTHORITY] = ":authority",
};

/* Those of HTTP/1 (RFC 9113, 8.2.2). */
static const char *const banned_names[] = {
	"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
};

void srv_head_init(struct srv_head *head, struct mem *mem, uint32_t bytes_max)
{
	*head = (struct srv_head){
		.mem = mem,
		.bytes_max = bytes_max,
		.timeout_ns = UINT64_MAX,
		.http = 200,
	};
	meta_init(&head->meta);
}

PRINTF_LIKE(3, 4)
static void head_refuse(struct srv_head *head, enum rpc_code code, const char *fmt, ...)
{
	va_list args;

	if (head->code != RPC_OK)
		return; /* the first one counts */
	head->code = code;
	va_start(args, fmt);
	vsnprintf(head->words, sizeof(head->words), fmt, args);
	va_end(args);
}

static bool is_text(const uint8_t *bytes, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(bytes, text, len) == 0;
}

/* ---- one by one ------------------------------------------------------------------ */

static int head_pseudo(struct srv_head *head, const uint8_t *name, size_t name_len,
		       const uint8_t *value, size_t value_len)
{
	unsigned i = 0;

	while (i < PSEUDOS && !is_text(name, name_len, pseudo_names[i]))
		i++;
	if (i == PSEUDOS || head->has_regular || head->seen & 1u << i)
		return -EPROTO;
	head->seen |= 1u << i;
	if (i == PSEUDO_METHOD)
		head->is_post = is_text(value, value_len, "POST");
	if (i == PSEUDO_PATH && !head->is_over) {
		head->path = mem_strndup(head->mem, (const char *)value, value_len);
		if (!head->path)
			return -ENOMEM;
	}
	return 0;
}

static bool type_is_grpc(const uint8_t *value, size_t len)
{
	const size_t own = strlen(GRPC_TYPE);

	return len >= own && memcmp(value, GRPC_TYPE, own) == 0 &&
	       (len == own || value[own] == '+' || value[own] == ';');
}

/* True: it was ours. */
static bool head_known(struct srv_head *head, const uint8_t *name, size_t name_len,
		       const uint8_t *value, size_t value_len)
{
	if (is_text(name, name_len, "content-type")) {
		head->has_type = type_is_grpc(value, value_len);
	} else if (is_text(name, name_len, "te")) {
		head->has_te = is_text(value, value_len, "trailers");
	} else if (is_text(name, name_len, "grpc-timeout")) {
		if (rpc_timeout_parse((const char *)value, value_len, &head->timeout_ns) < 0)
			head_refuse(head, RPC_INVALID_ARGUMENT,
				    "grpc-timeout is not 1 to 8 digits and one of HMSmun");
	} else {
		return false;
	}
	return true;
}

static int head_check(const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len)
{
	if (!nghttp2_check_header_name(name, name_len) ||
	    !nghttp2_check_header_value(value, value_len))
		return -EPROTO;
	for (unsigned i = 0; i < ARRAY_LEN(banned_names); i++)
		if (is_text(name, name_len, banned_names[i]))
			return -EPROTO;
	return 0;
}

/* HD3 */
static int head_count(struct srv_head *head, size_t name_len, size_t value_len)
{
	head->bytes += name_len + value_len + META_PAIR_BYTES;
	if (head->bytes > 4ull * head->bytes_max)
		return -EMSGSIZE;
	if (head->bytes <= head->bytes_max)
		return 0;
	head_refuse(head, RPC_RESOURCE_EXHAUSTED, "the headers take more than %u bytes",
		    head->bytes_max);
	head->is_over = true;
	return 0;
}

int srv_head_add(struct srv_head *head, const uint8_t *name, size_t name_len, const uint8_t *value,
		 size_t value_len)
{
	int r = head_check(name, name_len, value, value_len);

	if (r == 0)
		r = head_count(head, name_len, value_len);
	if (r < 0)
		return r;
	if (name_len && name[0] == ':')
		return head_pseudo(head, name, name_len, value, value_len);
	head->has_regular = true;
	if (head_known(head, name, name_len, value, value_len) || head->is_over)
		return 0;
	r = meta_add(&head->meta, head->mem, (const char *)name, name_len, (const char *)value,
		     value_len);
	if (r == 0 && is_text(name, name_len, "grpc-encoding"))
		head->encoding = meta_find(&head->meta, "grpc-encoding")->value;
	return r;
}

int srv_head_trailer(struct srv_head *head, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len)
{
	int r = head_check(name, name_len, value, value_len);

	if (r < 0)
		return r;
	return name_len && name[0] == ':' ? -EPROTO : head_count(head, name_len, value_len);
}

/* ---- all of them ----------------------------------------------------------------- */

int srv_head_end(struct srv_head *head)
{
	const unsigned needed = 1u << PSEUDO_METHOD | 1u << PSEUDO_PATH | 1u << PSEUDO_SCHEME;

	if ((head->seen & needed) != needed)
		return -EPROTO;
	if (!head->is_post) {
		head->http = 405;
		head_refuse(head, RPC_INTERNAL, "gRPC's method is POST");
	} else if (!head->has_type && !head->is_over) {
		head->http = 415;
		head_refuse(head, RPC_INTERNAL, "content-type is not " GRPC_TYPE);
	} else if (!head->has_te && !head->is_over) {
		head_refuse(head, RPC_INTERNAL, "te is not trailers: a proxy took them away");
	} else if (head->path && head->path[0] != '/') {
		head_refuse(head, RPC_UNIMPLEMENTED, "the path does not begin with '/'");
	}
	return 0;
}
