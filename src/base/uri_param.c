// SPDX-License-Identifier: Apache-2.0
/*
 * uri_param - asking a parsed URI for typed parameters.
 *
 * Each type is one pure function from text; the uri_get_ forms add default, range
 * and words.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/must.h"
#include "base/uri_priv.h"
#include "base/uuid.h"

const struct uri_param *uri_find_param(const struct uri *uri, const char *name, uint32_t i)
{
	for (uint32_t k = 0; k < uri->param_count; k++)
		if (strcmp(uri->params[k].name, name) == 0 && i-- == 0)
			return &uri->params[k];
	return NULL;
}

uint32_t uri_param_count(const struct uri *uri)
{
	return uri->param_count;
}

const char *uri_param_name(const struct uri *uri, uint32_t i)
{
	must(i < uri->param_count);
	return uri->params[i].name;
}

const char *uri_param_value(const struct uri *uri, uint32_t i)
{
	must(i < uri->param_count);
	return uri->params[i].value;
}

/* Digits, decimal or after 0x; *ret_end is what follows them. */
static int uri_text_digits(const char *text, uint64_t *ret, const char **ret_end)
{
	uint64_t base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? "0123456789abcdefABCDEF" : "0123456789";
	const char *p = base == 16 ? text + 2 : text;
	uint64_t value = 0;

	if (strspn(p, digits) == 0)
		return -EINVAL;
	for (; *p && strchr(digits, *p); p++) {
		uint64_t digit = *p <= '9' ? (uint64_t)(*p - '0') :
					     (uint64_t)((*p | 32) - 'a' + 10);

		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return -ERANGE;
	}
	*ret = value;
	*ret_end = p;
	return 0;
}

/* "", "b", "k", "ki", "kb", "kib": the power of two it stands for, or -EINVAL. */
static int uri_text_suffix(const char *text)
{
	static const char letters[] = "kmgt";
	const char *letter = *text ? strchr(letters, *text | 32) : NULL;
	int shift = 0;

	if (letter) {
		shift = 10 * (int)(letter - letters + 1);
		text++;
		if ((*text | 32) == 'i')
			text++;
	}
	if ((*text | 32) == 'b')
		text++;
	return *text ? -EINVAL : shift;
}

int uri_str(const struct uri *uri, const char *name, const char **ret)
{
	const struct uri_param *param = uri_find_param(uri, name, 0);

	if (!param)
		return -ENOENT;
	*ret = param->value;
	return 0;
}

int uri_text_u64(const char *text, uint64_t *ret)
{
	const char *end;
	uint64_t value;

	TRY(uri_text_digits(text, &value, &end));
	if (*end)
		return -EINVAL;
	*ret = value;
	return 0;
}

int uri_u64(const struct uri *uri, const char *name, uint64_t *ret)
{
	const char *text;

	TRY(uri_str(uri, name, &text));
	return uri_text_u64(text, ret);
}

int uri_text_size(const char *text, uint64_t *ret_bytes)
{
	const char *end;
	uint64_t value;
	int shift;

	TRY(uri_text_digits(text, &value, &end));
	TRY(shift = uri_text_suffix(end));
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

int uri_size(const struct uri *uri, const char *name, uint64_t *ret_bytes)
{
	const char *text;

	TRY(uri_str(uri, name, &text));
	return uri_text_size(text, ret_bytes);
}

int uri_bool(const struct uri *uri, const char *name, bool *ret)
{
	static const char *const words[] = {
		"false", "no", "off", "0", "true", "yes", "on", "1", ""
	};
	const char *text;

	TRY(uri_str(uri, name, &text));
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = i >= 4;
			return 0;
		}
	}
	return -EINVAL;
}

int uri_f64(const struct uri *uri, const char *name, double *ret)
{
	const char *text;
	double value;
	char *end;

	TRY(uri_str(uri, name, &text));
	if (!*text || text[strspn(text, "0123456789.eE+-")])
		return -EINVAL; /* no "nan", no "0x", no spaces */
	value = strtod(text, &end);
	if (*end)
		return -EINVAL;
	if (!isfinite(value))
		return -ERANGE;
	*ret = value;
	return 0;
}

int uri_uuid(const struct uri *uri, const char *name, struct uuid *ret)
{
	const char *text;

	TRY(uri_str(uri, name, &text));
	return uuid_parse(text, ret);
}

/* The words of every malformed parameter. */
#define uri_expected(uri, name, code, err, fmt, ...)                                             \
	err_fail(err, code, "%s: parameter '%s' is '%.60s', expected " fmt, (uri)->scheme, name, \
		 uri_find_param(uri, name, 0)->value, ##__VA_ARGS__)

int uri_get_str(const struct uri *uri, const char *name, const char *dflt, const char **ret,
		struct err *err)
{
	(void)err; /* any text is a string */
	if (uri_str(uri, name, ret) < 0)
		*ret = dflt;
	return 0;
}

int uri_get_u64(const struct uri *uri, const char *name, uint64_t min, uint64_t max, uint64_t dflt,
		uint64_t *ret, struct err *err)
{
	uint64_t value = dflt;
	int r = uri_u64(uri, name, &value);

	if (r == 0 && (value < min || value > max))
		r = -ERANGE;
	if (r < 0 && r != -ENOENT)
		return uri_expected(uri, name, r, err, "a number %" PRIu64 "..%" PRIu64, min, max);
	*ret = value;
	return 0;
}

int uri_get_size(const struct uri *uri, const char *name, uint64_t min, uint64_t max, uint64_t dflt,
		 uint64_t *ret_bytes, struct err *err)
{
	uint64_t value = dflt;
	int r = uri_size(uri, name, &value);

	if (r == 0 && (value < min || value > max))
		r = -ERANGE;
	if (r < 0 && r != -ENOENT)
		return uri_expected(uri, name, r, err,
				    "a size %" PRIu64 "..%" PRIu64 " bytes (as 4096, 64k, 10m, 1g)",
				    min, max);
	*ret_bytes = value;
	return 0;
}

int uri_get_bool(const struct uri *uri, const char *name, bool dflt, bool *ret, struct err *err)
{
	bool value = dflt;
	int r = uri_bool(uri, name, &value);

	if (r < 0 && r != -ENOENT)
		return uri_expected(uri, name, r, err, "true or false");
	*ret = value;
	return 0;
}

int uri_get_f64(const struct uri *uri, const char *name, double min, double max, double dflt,
		double *ret, struct err *err)
{
	double value = dflt;
	int r = uri_f64(uri, name, &value);

	if (r == 0 && (value < min || value > max))
		r = -ERANGE;
	if (r < 0 && r != -ENOENT)
		return uri_expected(uri, name, r, err, "a number %g..%g", min, max);
	*ret = value;
	return 0;
}

int uri_get_child(const struct uri *uri, const char *name, const struct uri **ret, struct err *err)
{
	const struct uri_param *param = uri_find_param(uri, name, 0);

	if (!param)
		return err_fail(err, -ENOENT, "%s: parameter '%s' is missing, expected a URI",
				uri->scheme, name);
	if (!param->child)
		return uri_expected(uri, name, -EINVAL, err, "a URI such as file:///path");
	*ret = param->child;
	return 0;
}

const struct uri *uri_child_at(const struct uri *uri, const char *name, uint32_t i)
{
	const struct uri_param *param = uri_find_param(uri, name, i);

	return param ? param->child : NULL;
}

const struct uri *uri_child(const struct uri *uri, const char *name)
{
	return uri_child_at(uri, name, 0);
}

uint32_t uri_name_count(const struct uri *uri, const char *name)
{
	uint32_t count = 0;

	while (uri_find_param(uri, name, count))
		count++;
	return count;
}

/* The place of a name in a NULL-terminated list; *ret_many if it stands there as "name*". */
static bool uri_is_allowed(const char *name, const char *const *allowed, bool *ret_many)
{
	size_t len = strlen(name);

	for (; *allowed; allowed++) {
		*ret_many = strcmp(*allowed + strnlen(*allowed, len), "*") == 0;
		if (strncmp(*allowed, name, len) == 0 && (!(*allowed)[len] || *ret_many))
			return true;
	}
	return false;
}

/* "a, b, c" as far as it fits. */
static void uri_list_names(const char *const *allowed, char *text, size_t size)
{
	char *p = text;

	*p = '\0';
	for (size_t i = 0; allowed[i]; i++) {
		size_t len = strcspn(allowed[i], "*");

		if (len + 3 > size - (size_t)(p - text))
			return;
		p = i ? stpcpy(p, ", ") : p;
		memcpy(p, allowed[i], len);
		p += len;
		*p = '\0';
	}
}

int uri_check_params(const struct uri *uri, const char *const *allowed, struct err *err)
{
	char names[160];

	for (uint32_t i = 0; i < uri->param_count; i++) {
		const char *name = uri->params[i].name;
		bool many;

		if (!uri_is_allowed(name, allowed, &many)) {
			uri_list_names(allowed, names, sizeof(names));
			return err_fail(err, -EINVAL, "%s: unknown parameter '%s', known are: %s",
					uri->scheme, name, *names ? names : "none");
		}
		if (!many && uri_find_param(uri, name, 0) != &uri->params[i])
			return err_fail(err, -EINVAL, "%s: parameter '%s' is given twice",
					uri->scheme, name);
	}
	return 0;
}
