// SPDX-License-Identifier: Apache-2.0
/*
 * typed - commands on standard input. They are read a byte at a time, when there is one: a
 * person types them, and a read that waits could not be ended.
 */
#include "bin/typed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/wait.h"

struct typed {
	struct typed_opts opts;
	struct io_watch *watch;
	struct io_file *input;
	struct fiber *fiber;
	struct event event; /* a byte is there, or it is over */
	bool is_over;
	unsigned len;
	char line[TYPED_LINE_MAX];
};

/* ---- words ------------------------------------------------------------------------------- */

int typed_number(struct fiber *f, const char *word, uint32_t *ret)
{
	char *end = NULL;
	unsigned long n = word ? strtoul(word, &end, 10) : 0;

	if (!word || *end || end == word || n == 0 || n > UINT32_MAX)
		return fiber_fail(f, -EINVAL, "a number is expected");
	*ret = (uint32_t)n;
	return 0;
}

void typed_json_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* ---- lines ------------------------------------------------------------------------------- */

static void answer(struct fiber *f, const struct typed *t, int r)
{
	if (t->opts.json && r < 0) {
		printf("{\"ok\":false,\"error\":");
		typed_json_string(fiber_words(f));
		puts("}");
	} else if (t->opts.json) {
		puts("{\"ok\":true}");
	} else if (r < 0) {
		printf("error: %s\n", fiber_words(f));
	} else {
		puts("ok");
	}
	fflush(stdout);
	fiber_clear(f);
}

static void line_done(struct fiber *f, struct typed *t)
{
	char *words[TYPED_WORDS_MAX + 1] = { NULL }, *save = NULL;

	t->line[t->len] = '\0';
	t->len = 0;
	for (unsigned i = 0; i < TYPED_WORDS_MAX; i++) {
		words[i] = strtok_r(i ? NULL : t->line, " \t", &save);
		if (!words[i])
			break;
	}
	answer(f, t, t->opts.run(f, t->opts.ctx, words));
}

static void input_ready(void *ctx, unsigned events)
{
	struct typed *t = ctx;

	(void)events;
	io_watch_set(t->watch, 0);
	event_set(&t->event);
}

static int typed_main(struct fiber *f, void *arg)
{
	struct typed *t = arg;
	char byte;

	for (;;) {
		event_wait_always(f, &t->event);
		event_clear(&t->event);
		if (t->is_over)
			return 0;
		if (fiber_read(f, t->input, &byte, 1, 0) != 1)
			return 0; /* the end of input */
		if (byte == '\n')
			line_done(f, t);
		else if (t->len < TYPED_LINE_MAX - 1)
			t->line[t->len++] = byte;
		if (!t->is_over)
			io_watch_set(t->watch, IO_READABLE);
	}
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static void typed_free(struct fiber *f, struct typed *t)
{
	if (t->watch)
		io_watch_free(t->watch);
	if (t->input)
		fiber_close(f, t->input);
	mem_free(t);
}

int typed_start(struct fiber *f, const struct typed_opts *opts, struct typed **ret)
{
	struct typed *t = mem_new(fiber_io(f), sizeof(*t));

	*ret = NULL;
	if (!t)
		return fiber_fail(f, -ENOMEM, "no memory");
	t->opts = *opts;
	event_init(&t->event);
	if (fiber_open(f, "/dev/stdin", IO_OPEN_READ, 0, &t->input) < 0 ||
	    io_watch_fd(fiber_io(f), 0, IO_READABLE, input_ready, t, &t->watch) < 0) {
		fiber_clear(f); /* closed, or nothing that one types at */
		typed_free(f, t);
		return 0;
	}
	if (fiber_start(fiber_reactor(f), "typed", typed_main, t, &t->fiber) < 0) {
		typed_free(f, t);
		return fiber_fail(f, -ENOMEM, "no memory");
	}
	*ret = t;
	return 0;
}

void typed_stop(struct fiber *f, struct typed *t)
{
	if (!t)
		return;
	t->is_over = true;
	event_set(&t->event);
	(void)fiber_join(f, t->fiber);
	typed_free(f, t);
}
