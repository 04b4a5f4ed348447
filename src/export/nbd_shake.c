// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_shake - the handshake: one option, one answer, until transmission.
 *
 *	greeting -> flags -> (option -> answer)* -> GO or EXPORT_NAME -> transmission
 *
 * NK1. While an answer is being sent nothing is read: a client that asks without reading its
 *      answers waits for itself, and what we hold of it is this struct.
 * NK2. A view is bound (counted) from the moment its GO is answered.
 *
 * TLS would come in here: where it is forced, all options but STARTTLS and ABORT are
 * answered with NBD_REP_ERR_TLS_REQD until the connection is secure.
 */
#include <string.h>

#include "base/must.h"
#include "export/nbd_priv.h"

_Static_assert(sizeof(struct nbd_conn) + sizeof(struct nbd_shake) <= 16384,
	       "what a stranger costs");

/* ---- sending ------------------------------------------------------------------------------ */

static void shake_list(struct nbd_conn *conn);

static void shake_over(struct nbd_conn *conn)
{
	conn->gather = mem_new(conn->side->io, sizeof(*conn->gather));
	if (!conn->gather) {
		nbd_conn_drop(conn, NBD_DROP_MEMORY);
		return;
	}
	mem_free(steal(conn->shake));
	conn->state = NBD_CONN_REQUEST;
	nbd_conn_unblock(conn);
}

static void shake_sent(struct io_op *op)
{
	struct nbd_conn *conn = container_of(op, struct nbd_conn, send_op);
	struct nbd_shake *shake = conn->shake;

	if (nbd_send_ended(conn, op->res))
		return;
	if (shake->listing)
		shake_list(conn);
	else if (shake->leaving)
		nbd_conn_drop(conn, NBD_DROP_BYE);
	else if (shake->going)
		shake_over(conn);
	else
		nbd_conn_unblock(conn);
}

/* NK1 */
static void shake_send(struct nbd_conn *conn, size_t bytes)
{
	struct nbd_shake *shake = conn->shake;

	conn->blocked = true;
	conn->message_ns = 0;
	conn->head_have = 0;
	if (conn->state != NBD_CONN_FLAGS)
		conn->state = NBD_CONN_OPTION;
	shake->iov = (struct iovec){ shake->out, bytes };
	nbd_send_bytes(conn, &shake->iov, 1, bytes, shake_sent);
}

void nbd_shake_start(struct nbd_conn *conn)
{
	nbd_greeting_encode(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES, conn->shake->out);
	shake_send(conn, NBD_GREETING_BYTES);
}

/* ---- replies --------------------------------------------------------------------------------- */

static uint8_t *reply_open(struct builder *builder)
{
	uint8_t *head;

	must(builder_reserve(builder, &head, NBD_REPLY_BYTES) == 0);
	return head;
}

static void reply_close(const struct nbd_conn *conn, struct builder *builder, uint8_t *head,
			uint32_t type)
{
	const struct nbd_reply reply = {
		.option = conn->shake->option.type,
		.type = type,
		.length = (uint32_t)(builder->data + builder->pos - head) - NBD_REPLY_BYTES,
	};

	must(builder->status == 0); /* NBD_SHAKE_OUT is enough for all there is */
	nbd_reply_encode(&reply, head);
}

static void reply_put(const struct nbd_conn *conn, struct builder *builder, uint32_t type)
{
	reply_close(conn, builder, reply_open(builder), type);
}

static void shake_begin(struct nbd_conn *conn, struct builder *builder)
{
	builder_init(builder, conn->shake->out, sizeof(conn->shake->out));
}

static void shake_answer(struct nbd_conn *conn, uint32_t type)
{
	struct builder builder;

	shake_begin(conn, &builder);
	reply_put(conn, &builder, type);
	shake_send(conn, builder.pos);
}

/* ---- shares ------------------------------------------------------------------------------------- */

static struct nbd_text text_of(const char *text)
{
	return (struct nbd_text){ .text = text, .length = (uint32_t)strlen(text) };
}

static uint16_t view_flags(const struct nbd_view *view, bool structured)
{
	const struct bdev *bdev = view->share->bdev;
	uint16_t flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
			 NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE; /* NB2 */

	if (view->share->read_only)
		flags |= NBD_FLAG_READ_ONLY;
	else
		flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
	if (bdev->rotational)
		flags |= NBD_FLAG_ROTATIONAL;
	if (structured)
		flags |= NBD_FLAG_SEND_DF;
	return flags;
}

static struct nbd_rules view_rules(const struct nbd_view *view, bool structured)
{
	const struct bdev *bdev = view->share->bdev;

	return (struct nbd_rules){
		.size_bytes = view->chan->blocks * bdev->block_size, /* NB5 */
		.flags = view_flags(view, structured),
		.block_min = bdev->block_size,
		.payload_max = NBD_PAYLOAD_MAX,
		.structured = structured,
	};
}

static void shake_bind(struct nbd_conn *conn, struct nbd_view *view)
{
	conn->view = view; /* NK2 */
	view->conns++;
	event_clear(&view->idle);
	conn->rules = view_rules(view, conn->structured);
	conn->rules.meta = conn->shake->meta == view->share->id;
	conn->shake->going = true;
}

/* ---- options --------------------------------------------------------------------------------------- */

static void shake_export_name(struct nbd_conn *conn)
{
	struct nbd_shake *shake = conn->shake;
	struct nbd_text name = { 0 };
	struct nbd_view *view = NULL;

	if (nbd_export_name_decode(shake->in, shake->have, &name) == NBD_REP_NONE)
		view = nbd_side_find(conn->side, name.text, name.length);
	if (!view) {
		nbd_conn_drop(conn, NBD_DROP_UNKNOWN); /* it has no other answer */
		return;
	}
	shake_bind(conn, view);
	const struct nbd_export told = { conn->rules.size_bytes, conn->rules.flags };
	nbd_export_encode(&told, shake->out);
	memset(shake->out + NBD_EXPORT_BYTES, 0, NBD_EXPORT_ZEROES);
	shake_send(conn, NBD_EXPORT_BYTES + (shake->no_zeroes ? 0 : NBD_EXPORT_ZEROES));
}

static void info_put(struct nbd_conn *conn, struct builder *builder, const struct nbd_info *info)
{
	uint8_t *head = reply_open(builder);

	must(nbd_info_put(builder, info) == 0);
	reply_close(conn, builder, head, NBD_REP_INFO);
}

static void infos_put(struct nbd_conn *conn, struct builder *builder, const struct nbd_view *view,
		      uint32_t wanted)
{
	const struct nbd_rules rules = view_rules(view, conn->structured);
	const struct bdev *bdev = view->share->bdev;
	const char *description = view->share->description;

	info_put(conn, builder,
		 &(struct nbd_info){ .type = NBD_INFO_EXPORT,
				     .export = { rules.size_bytes, rules.flags } });
	if (wanted >> NBD_INFO_NAME & 1)
		info_put(conn, builder,
			 &(struct nbd_info){ .type = NBD_INFO_NAME,
					     .text = text_of(view->share->name) });
	if (wanted >> NBD_INFO_DESCRIPTION & 1 && description[0])
		info_put(conn, builder,
			 &(struct nbd_info){ .type = NBD_INFO_DESCRIPTION,
					     .text = text_of(description) });
	if (wanted >> NBD_INFO_BLOCK_SIZE & 1)
		info_put(conn, builder,
			 &(struct nbd_info){
				 .type = NBD_INFO_BLOCK_SIZE,
				 .block_size = { rules.block_min,
						 max_u32(NBD_BUF_MIN, bdev->physical_block_size),
						 rules.payload_max } });
}

static void shake_info(struct nbd_conn *conn)
{
	struct nbd_shake *shake = conn->shake;
	struct nbd_info_request request;
	struct nbd_view *view = NULL;
	struct builder builder;
	uint32_t refused = nbd_info_request_decode(shake->in, shake->have, &request);

	if (refused == NBD_REP_NONE) {
		view = nbd_side_find(conn->side, request.name.text, request.name.length);
		refused = view ? NBD_REP_NONE : NBD_REP_ERR_UNKNOWN;
	}
	if (refused) {
		shake_answer(conn, refused);
		return;
	}
	shake_begin(conn, &builder);
	infos_put(conn, &builder, view, request.wanted);
	reply_put(conn, &builder, NBD_REP_ACK);
	if (shake->option.type == NBD_OPT_GO)
		shake_bind(conn, view);
	shake_send(conn, builder.pos);
}

/* As many as there is room for; the rest when they are sent. */
static void shake_list(struct nbd_conn *conn)
{
	struct nbd_shake *shake = conn->shake;
	struct builder builder;
	struct nbd_view *view;

	shake_begin(conn, &builder);
	shake->listing = false;
	list_for_each(view, &conn->side->views, link) {
		const struct nbd_text name = text_of(view->share->name);
		const struct nbd_text words = text_of(view->share->description);

		if (view->going || view->share->id <= shake->listed)
			continue;
		if (builder_room(&builder) < 2 * NBD_REPLY_BYTES + 4 + name.length + words.length) {
			shake->listing = true;
			break;
		}
		uint8_t *head = reply_open(&builder);
		must(nbd_server_put(&builder, &name, &words) == 0);
		reply_close(conn, &builder, head, NBD_REP_SERVER);
		shake->listed = view->share->id;
	}
	if (!shake->listing)
		reply_put(conn, &builder, NBD_REP_ACK);
	shake_send(conn, builder.pos);
}

static bool text_is(const struct nbd_text *text, const char *what)
{
	return text->length == strlen(what) && memcmp(text->text, what, text->length) == 0;
}

/* Does one of the queries name our only context? */
static bool meta_matches(struct nbd_meta_request *request, bool list)
{
	bool matches = list && request->query_count == 0;
	struct nbd_text query;

	while (nbd_meta_query_next(request, &query))
		if (text_is(&query, NBD_CONTEXT_ALLOCATION) || (list && text_is(&query, "base:")))
			matches = true;
	return matches;
}

static void shake_meta(struct nbd_conn *conn)
{
	const struct nbd_text context = text_of(NBD_CONTEXT_ALLOCATION);
	struct nbd_shake *shake = conn->shake;
	const bool list = shake->option.type == NBD_OPT_LIST_META_CONTEXT;
	struct nbd_meta_request request;
	struct nbd_view *view = NULL;
	struct builder builder;
	uint32_t refused = nbd_meta_request_decode(shake->in, shake->have, &request);

	if (!list)
		shake->meta = 0;
	if (refused == NBD_REP_NONE && !conn->structured)
		refused = NBD_REP_ERR_INVALID;
	if (refused == NBD_REP_NONE) {
		view = nbd_side_find(conn->side, request.name.text, request.name.length);
		refused = view ? NBD_REP_NONE : NBD_REP_ERR_UNKNOWN;
	}
	if (refused) {
		shake_answer(conn, refused);
		return;
	}
	shake_begin(conn, &builder);
	if (meta_matches(&request, list)) {
		uint8_t *head = reply_open(&builder);

		must(nbd_meta_context_put(&builder, list ? 0 : 1, &context) == 0);
		reply_close(conn, &builder, head, NBD_REP_META_CONTEXT);
		shake->meta = list ? shake->meta : view->share->id;
	}
	reply_put(conn, &builder, NBD_REP_ACK);
	shake_send(conn, builder.pos);
}

static void shake_do(struct nbd_conn *conn)
{
	struct nbd_shake *shake = conn->shake;

	switch (shake->option.type) {
	case NBD_OPT_EXPORT_NAME:
		shake_export_name(conn);
		return;
	case NBD_OPT_LIST:
		shake->listed = 0;
		shake_list(conn);
		return;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		shake_info(conn);
		return;
	case NBD_OPT_STRUCTURED_REPLY:
		conn->structured = true;
		shake_answer(conn, NBD_REP_ACK);
		return;
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		shake_meta(conn);
		return;
	default:
		must(shake->option.type == NBD_OPT_STARTTLS); /* nbd_option_check() */
		shake_answer(conn, NBD_REP_ERR_UNSUP);
		return;
	}
}

/* ---- the stream ----------------------------------------------------------------------------------------- */

size_t nbd_shake_flags(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	size_t taken = nbd_conn_collect(conn, data, len, NBD_CLIENT_FLAGS_BYTES);
	uint16_t flags;

	if (conn->head_have < NBD_CLIENT_FLAGS_BYTES)
		return taken;
	if (nbd_client_flags_decode(conn->head, conn->head_have, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES,
				    &flags) < 0) {
		nbd_conn_drop(conn, NBD_DROP_PROTOCOL);
		return taken;
	}
	conn->shake->no_zeroes = flags & NBD_NO_ZEROES;
	conn->head_have = 0;
	conn->message_ns = 0;
	conn->state = NBD_CONN_OPTION;
	return taken;
}

/* What is done with the data to come: read, skipped, or not even that. */
static void option_begin(struct nbd_conn *conn)
{
	struct nbd_shake *shake = conn->shake;
	const struct nbd_option *option = &shake->option;

	conn->side->stats.options++;
	shake->refused = nbd_option_check(option);
	if (shake->refused == NBD_REP_NONE && option->length > NBD_SHAKE_IN)
		shake->refused = NBD_REP_ERR_TOO_BIG;
	if (++shake->options > NBD_OPTIONS_MAX || option->length > NBD_OPTION_SKIP_MAX ||
	    (shake->refused && option->type == NBD_OPT_EXPORT_NAME)) {
		nbd_conn_drop(conn, NBD_DROP_LIMIT);
		return;
	}
	shake->leaving = option->type == NBD_OPT_ABORT;
	if (shake->leaving)
		shake->refused = NBD_REP_ACK;
	shake->have = 0;
	conn->head_have = 0;
	conn->skip = option->length;
	conn->state = shake->refused ? NBD_CONN_SKIP : NBD_CONN_DATA;
	if (option->length)
		return;
	if (shake->refused)
		shake_answer(conn, shake->refused);
	else
		shake_do(conn);
}

size_t nbd_shake_option(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	size_t taken = nbd_conn_collect(conn, data, len, NBD_OPTION_BYTES);

	if (conn->head_have < NBD_OPTION_BYTES)
		return taken;
	if (nbd_option_decode(conn->head, conn->head_have, &conn->shake->option) < 0)
		nbd_conn_drop(conn, NBD_DROP_PROTOCOL);
	else
		option_begin(conn);
	return taken;
}

size_t nbd_shake_data(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	struct nbd_shake *shake = conn->shake;
	size_t taken = min_size(len, shake->option.length - shake->have);

	memcpy(shake->in + shake->have, data, taken);
	shake->have += (uint32_t)taken;
	if (shake->have == shake->option.length)
		shake_do(conn);
	return taken;
}

size_t nbd_shake_skip(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	size_t taken = min_size(len, conn->skip);

	conn->skip -= taken;
	if (conn->skip == 0)
		shake_answer(conn, conn->shake->refused);
	return taken;
}
