// SPDX-License-Identifier: Apache-2.0
/*
 * h2 - one HTTP/2 session.
 */
#include "rpc/h2_priv.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/must.h"

/* ---- memory ---------------------------------------------------------------------- */

/* Before each block: nghttp2 frees and grows without saying a size. */
struct h2_block {
	size_t size;
	size_t is_reserved;
};

/* H5: the session will not go on, but must not notice. */
static struct h2_block *block_from_reserve(struct h2 *h2, size_t bytes)
{
	struct h2_block *block;

	h2->is_starved = true;
	bytes = align_up_u64(bytes, sizeof(*block));
	if (bytes > H2_RESERVE - h2->reserve_used)
		return NULL;
	block = (void *)(h2->reserve + h2->reserve_used);
	h2->reserve_used += (uint32_t)bytes;
	block->is_reserved = true;
	return block;
}

static void *block_new(size_t size, void *ctx)
{
	struct h2 *h2 = ctx;
	struct h2_block *block;

	if (size > H2_MEMORY_MAX)
		return NULL;
	block = mem_alloc(&h2->mem.mem, sizeof(*block) + size);
	if (!block)
		block = block_from_reserve(h2, sizeof(*block) + size);
	if (!block)
		return NULL;
	block->size = size;
	return block + 1;
}

static void block_free(void *p, void *ctx)
{
	struct h2_block *block = p;

	if (block && !block[-1].is_reserved)
		mem_free(block - 1);
}

static void *block_new_array(size_t count, size_t size, void *ctx)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? NULL : block_new(bytes, ctx);
}

static void *block_resize(void *p, size_t size, void *ctx)
{
	void *more = block_new(size, ctx);

	if (more && p) {
		memcpy(more, p, min_size(size, ((struct h2_block *)p - 1)->size));
		block_free(p, ctx);
	}
	return more;
}

/* ---- life ------------------------------------------------------------------------ */

static int h2_submit_settings(struct h2 *h2, const struct h2_opts *opts)
{
	nghttp2_settings_entry entries[5] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW_BYTES },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};
	size_t count = 2;

	if (opts->is_server) {
		entries[1] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
						       opts->streams_max };
		entries[count++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
							     opts->header_bytes_max };
		entries[count++] =
			(nghttp2_settings_entry){ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 };
	}
	if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries, count) != 0)
		return -ENOMEM;
	return nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
						     H2_WINDOW_BYTES) == 0 ?
		       0 :
		       -ENOMEM;
}

static int h2_session_make(struct h2 *h2, const struct h2_opts *opts, nghttp2_option *option,
			   nghttp2_session_callbacks *callbacks)
{
	nghttp2_mem mem = { h2, block_new, block_free, block_new_array, block_resize };
	int r;

	nghttp2_option_set_no_http_messaging(option, 1); /* H3 */
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_no_auto_window_update(option, opts->is_server ? 0 : 1);
	nghttp2_option_set_max_settings(option, H2_SETTINGS_MAX);
	nghttp2_option_set_max_outbound_ack(option, H2_QUEUE_MAX);
	opts->listen(callbacks);
	if (opts->is_server)
		r = nghttp2_session_server_new3(&h2->session, callbacks, h2, option, &mem);
	else
		r = nghttp2_session_client_new3(&h2->session, callbacks, h2, option, &mem);
	return r == 0 ? 0 : -ENOMEM;
}

/* These two are not of our memory (nghttp2 has no way for that), hence short-lived. */
static int h2_session_new(struct h2 *h2, const struct h2_opts *opts)
{
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	int r = -ENOMEM;

	if (nghttp2_option_new(&option) == 0 && nghttp2_session_callbacks_new(&callbacks) == 0)
		r = h2_session_make(h2, opts, option, callbacks);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	return r;
}

int h2_start(struct h2 *h2, const struct h2_opts *opts)
{
	int r;

	rpc_bound_init(&h2->mem, h2->link.io->mem, H2_MEMORY_MAX); /* H2 */
	h2->chunk_len = 0;
	rpc_rate_init(&h2->calm, H2_CALM_BURST, H2_CALM_PERIOD_NS);
	rpc_rate_init(&h2->pings, H2_PING_BURST, H2_PING_PERIOD_NS);
	h2->reserve = mem_alloc(h2->link.io->mem, H2_RESERVE);
	r = h2->reserve ? h2_session_new(h2, opts) : -ENOMEM;
	if (r == 0)
		r = h2_submit_settings(h2, opts);
	return r == 0 && h2->is_starved ? -ENOMEM : r;
}

void h2_fini(struct h2 *h2)
{
	if (h2->session)
		nghttp2_session_del(steal(h2->session));
	must(h2->mem.bytes == 0);
	mem_free(steal(h2->reserve));
}

/* ---- bytes ----------------------------------------------------------------------- */

bool h2_input(struct h2 *h2, const uint8_t *data, size_t len)
{
	ssize_t taken = h2->is_starved ? NGHTTP2_ERR_NOMEM :
					 nghttp2_session_mem_recv(h2->session, data, len);

	if (taken < 0 || h2->is_starved) {
		err_fail(&h2->link.err, h2->is_starved ? -ENOMEM : -EPROTO, "HTTP/2: %s",
			 nghttp2_strerror(h2->is_starved ? NGHTTP2_ERR_NOMEM : (int)taken));
		return false;
	}
	h2->ping_ns = 0; /* whatever came: it lives */
	if (h2->link.is_sending &&
	    nghttp2_session_get_outbound_queue_size(h2->session) > H2_QUEUE_MAX)
		link_pause(&h2->link); /* H4 */
	link_kick(&h2->link);
	return true;
}

/* What nghttp2 wants to send next, if there is none left of the last one. */
static bool h2_next_chunk(struct h2 *h2)
{
	ssize_t len;

	if (h2->chunk_len)
		return true;
	h2->is_ended = h2->is_ended || h2->is_starved;
	if (h2->is_ended)
		return false;
	len = nghttp2_session_mem_send(h2->session, &h2->chunk);
	if (len < 0)
		h2->is_ended = true;
	h2->chunk_len = len > 0 ? (size_t)len : 0;
	return h2->chunk_len;
}

size_t h2_output(struct h2 *h2, uint8_t *buf, size_t room)
{
	size_t have = 0;

	while (have < room && h2_next_chunk(h2)) {
		size_t some = min_size(room - have, h2->chunk_len);

		memcpy(buf + have, h2->chunk, some);
		h2->chunk += some;
		h2->chunk_len -= some;
		have += some;
	}
	if (h2->link.is_paused && !h2->is_ended &&
	    nghttp2_session_get_outbound_queue_size(h2->session) <= H2_QUEUE_MAX / 2)
		link_resume(&h2->link);
	return have;
}

bool h2_is_done(const struct h2 *h2)
{
	return !h2->chunk_len && !h2->link.is_sending &&
	       (h2->is_ended || (!nghttp2_session_want_read(h2->session) &&
				 !nghttp2_session_want_write(h2->session)));
}

/* ---- what a peer may do ---------------------------------------------------------- */

bool h2_frame_is_fair(struct h2 *h2, const nghttp2_frame *frame)
{
	const uint64_t now_ns = reactor_now(h2->link.reactor);
	bool fair = true;

	switch (frame->hd.type) {
	case NGHTTP2_PING:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			fair = rpc_rate_pass(&h2->pings, now_ns);
		break;
	case NGHTTP2_DATA:
		if (frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			fair = rpc_rate_pass(&h2->calm, now_ns);
		break;
	case NGHTTP2_HEADERS:
	case NGHTTP2_WINDOW_UPDATE:
		break;
	default:
		fair = rpc_rate_pass(&h2->calm, now_ns);
	}
	if (!fair)
		h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM);
	return fair;
}

void h2_ping(struct h2 *h2)
{
	if (nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL) != 0)
		return;
	h2->ping_ns = reactor_now(h2->link.reactor);
	link_kick(&h2->link);
}

void h2_terminate(struct h2 *h2, uint32_t error)
{
	if (nghttp2_session_terminate_session(h2->session, error) != 0)
		h2->is_ended = true;
	link_kick(&h2->link);
}
