// SPDX-License-Identifier: Apache-2.0
/*
 * fault_rule - the words of a fault rule. Their meaning stands in fault.h.
 *
 * FR1. A rule that was accepted can fire: its conditions and action make sense together.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/prng.h"
#include "drivers/fault.h"

#define FAULT_WORD_MAX 40
#define FAULT_ERRNO_MAX 133

/* Digits only, so that strtoull() sees nothing it would take for more than a number. */
static int fault_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;

	if (!*text || text[strspn(text, "0123456789")])
		return -EINVAL;
	errno = 0;
	value = strtoull(text, NULL, 10);
	if (errno || value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

static int fault_errno(const char *name, int *ret)
{
	for (int code = 1; code <= FAULT_ERRNO_MAX; code++) {
		if (strcmp(err_name(code), name) == 0) {
			*ret = -code;
			return 0;
		}
	}
	return -EINVAL;
}

/* "N" or "FIRST-LAST" */
static int fault_range(char *text, struct fault_rule *rule)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash = '\0';
	TRY(fault_number(text, 0, UINT64_MAX, &rule->first));
	rule->last = rule->first;
	if (dash)
		TRY(fault_number(dash + 1, rule->first, UINT64_MAX, &rule->last));
	return 0;
}

static int fault_op(const char *word, struct fault_rule *rule)
{
	for (unsigned op = 0; op < BIO_OPS; op++) {
		if (op != BIO_RESET && strcmp(bio_op_name((enum bio_op)op), word) == 0) {
			rule->ops |= 1u << op;
			return 0;
		}
	}
	return -EINVAL;
}

/* "name:value" with value NULL if there is none. */
static int fault_word(const char *name, char *value, struct fault_rule *rule)
{
	uint64_t number = 0;

	if (!value && strcmp(name, "hang") == 0) {
		rule->action = FAULT_HANG;
		return 0;
	}
	if (strcmp(name, "corrupt") == 0) {
		rule->action = FAULT_CORRUPT;
		rule->bits = 1;
		if (!value)
			return 0;
		TRY(fault_number(value, 1, FAULT_BITS_MAX, &number));
		rule->bits = (uint32_t)number;
		return 0;
	}
	if (!value)
		return fault_op(name, rule);
	if (strcmp(name, "lba") == 0)
		return fault_range(value, rule);
	if (strcmp(name, "nth") == 0)
		return fault_number(value, 1, UINT64_MAX, &rule->nth);
	if (strcmp(name, "every") == 0)
		return fault_number(value, 1, UINT64_MAX, &rule->every);
	if (strcmp(name, "count") == 0)
		return fault_number(value, 1, UINT64_MAX, &rule->count);
	if (strcmp(name, "ppm") == 0) {
		TRY(fault_number(value, 1, PRNG_PPM, &number));
		rule->ppm = (uint32_t)number;
		return 0;
	}
	if (strcmp(name, "status") == 0)
		return fault_errno(value, &rule->status);
	return -EINVAL;
}

int fault_rule_parse(const char *text, struct fault_rule *ret, struct err *err)
{
	struct fault_rule rule = {.last = UINT64_MAX, .status = -EIO};

	for (const char *p = text; *p;) {
		size_t len = strcspn(p, ",");
		char word[FAULT_WORD_MAX + 1] = "";
		char *value;

		if (len > FAULT_WORD_MAX)
			return err_fail(err, -EINVAL, "fault: rule '%.80s': a word is too long", text);
		memcpy(word, p, len);
		value = strchr(word, ':');
		if (value)
			*value++ = '\0';
		if (fault_word(word, value, &rule) < 0)
			return err_fail(err, -EINVAL, "fault: rule '%.80s': cannot understand '%.*s'",
					text, (int)len, p);
		p += len + (p[len] == ',');
	}
	if (!*text)
		return err_fail(err, -EINVAL, "fault: parameter 'rule' is empty");
	if (rule.action == FAULT_CORRUPT && rule.ops == 0)
		rule.ops = 1u << BIO_READ;
	if (rule.action == FAULT_CORRUPT && rule.ops != 1u << BIO_READ)
		return err_fail(err, -EINVAL, "fault: rule '%.80s': only reads can be corrupted",
				text); /* FR1 */
	*ret = rule;
	return 0;
}
