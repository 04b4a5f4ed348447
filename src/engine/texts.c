// SPDX-License-Identifier: Apache-2.0
/* texts - a list of texts that belongs to us: disks, children, hosts. */
#include <errno.h>
#include <string.h>

#include "engine/engine_priv.h"

int texts_add(struct mem *mem, struct texts *texts, const char *text)
{
	char **at = mem_alloc_array(mem, texts->count + 1, sizeof(*at));
	char *copy = at ? mem_strdup(mem, text) : NULL;

	if (!copy) {
		mem_free(at);
		return -ENOMEM;
	}
	if (texts->count)
		memcpy(at, texts->at, texts->count * sizeof(*at));
	at[texts->count] = copy;
	mem_free(texts->at);
	texts->at = at;
	texts->count++;
	return 0;
}

int texts_copy(struct mem *mem, const char *const *from, unsigned count, struct texts *ret)
{
	struct texts texts = { 0 };

	for (unsigned i = 0; i < count; i++) {
		int r = texts_add(mem, &texts, from[i]);

		if (r < 0) {
			texts_free(&texts);
			return r;
		}
	}
	*ret = texts;
	return 0;
}

void texts_remove(struct texts *texts, unsigned i)
{
	mem_free(texts->at[i]);
	texts->count--;
	memmove(&texts->at[i], &texts->at[i + 1], (texts->count - i) * sizeof(*texts->at));
}

void texts_free(struct texts *texts)
{
	for (unsigned i = 0; i < texts->count; i++)
		mem_free(texts->at[i]);
	mem_free(texts->at);
	*texts = (struct texts){ 0 };
}

bool texts_are(const struct texts *texts, const char *const *other, unsigned count)
{
	if (texts->count != count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		bool is_there = false;

		for (unsigned j = 0; j < count; j++)
			is_there |= strcmp(texts->at[i], other[j]) == 0;
		if (!is_there)
			return false;
	}
	return true;
}

const char *const *texts_list(const struct texts *texts)
{
	return (const char *const *)texts->at;
}
