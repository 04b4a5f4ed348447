// SPDX-License-Identifier: Apache-2.0
/*
 * meta - names and values beside a message.
 */
#include "rpc/meta_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "reactor/fiber.h"

static const char *const own_names[] = {
	"connection", "content-length",	  "content-type", "host",
	"keep-alive", "proxy-connection", "te",		  "transfer-encoding",
	"upgrade",    "user-agent",
};

void meta_init(struct meta *meta)
{
	list_init(&meta->pairs);
	meta->count = 0;
	meta->bytes = 0;
}

int meta_add(struct meta *meta, struct mem *mem, const char *name, size_t name_len,
	     const char *value, size_t value_len)
{
	struct meta_pair *pair = mem_alloc(mem, sizeof(*pair) + name_len + value_len + 2);
	char *text;

	if (!pair)
		return -ENOMEM;
	text = (char *)(pair + 1);
	memcpy(text, name, name_len);
	memcpy(text + name_len + 1, value, value_len);
	pair->name = text;
	pair->name_len = name_len;
	pair->value = text + name_len + 1;
	pair->value_len = value_len;
	list_add_tail(&meta->pairs, &pair->link);
	meta->count++;
	meta->bytes += name_len + value_len + META_PAIR_BYTES;
	return 0;
}

const struct meta_pair *meta_find(const struct meta *meta, const char *name)
{
	const struct meta_pair *pair;

	list_for_each(pair, &meta->pairs, link)
		if (strcmp(pair->name, name) == 0)
			return pair;
	return NULL;
}

static bool name_is_good(const char *name)
{
	const size_t len = strlen(name);

	if (len == 0 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != len ||
	    strncmp(name, "grpc-", 5) == 0)
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(own_names); i++)
		if (strcmp(name, own_names[i]) == 0)
			return false;
	return true;
}

int meta_check(const char *name, const char *value, struct fiber *f)
{
	if (!name_is_good(name))
		return fiber_fail(f, -EINVAL, "'%s' is no name for metadata", name);
	for (const char *p = value; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return fiber_fail(f, -EINVAL, "metadata '%s' is not printable ASCII", name);
	return 0;
}

static nghttp2_nv nv_of(const char *name, size_t name_len, const char *value, size_t value_len)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.namelen = name_len,
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = value_len,
	};
}

nghttp2_nv meta_nv(const char *name, const char *value)
{
	return nv_of(name, strlen(name), value, strlen(value));
}

size_t meta_nvs(const struct meta *meta, nghttp2_nv *nvs, size_t count)
{
	const struct meta_pair *pair;

	list_for_each(pair, &meta->pairs, link)
		nvs[count++] = nv_of(pair->name, pair->name_len, pair->value, pair->value_len);
	return count;
}
