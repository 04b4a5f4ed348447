// SPDX-License-Identifier: Apache-2.0
/*
 * err - error codes with words.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"

int err_fail(struct err *err, int code, const char *fmt, ...)
{
	va_list args;

	must(code < 0);
	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	vsnprintf(err->words, sizeof(err->words), fmt, args);
	va_end(args);
	return code;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char words[ERR_WORDS_SIZE];
	va_list args;
	size_t len;

	if (!err)
		return 0;
	snprintf(words, sizeof(words), "%s", err_words(err));
	va_start(args, fmt);
	vsnprintf(err->words, sizeof(err->words), fmt, args);
	va_end(args);
	len = strlen(err->words);
	snprintf(err->words + len, sizeof(err->words) - len, "%s", words);
	return err->code;
}

const char *err_words(const struct err *err)
{
	const char *words;

	if (!err || err->code == 0)
		return "no error";
	if (err->words[0])
		return err->words;
	words = strerrordesc_np(-err->code);
	return words ? words : "unknown error";
}

void err_clear(struct err *err)
{
	err->code = 0;
	err->words[0] = '\0';
}

const char *err_name(int code)
{
	const char *name;

	if (code == 0)
		return "OK";
	name = strerrorname_np(code < 0 ? -code : code);
	return name ? name : "E?";
}
