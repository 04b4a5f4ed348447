// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_conn_home - what home knows of a connection: where it belongs, and that it ends.
 *
 * Mail keeps its order, so "close it" sent before "free it" is also read before it.
 */
#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"
#include "nvmf/tgt_fabrics_priv.h"

struct tgt_conn *tgt_conn_new(struct tgt *tgt, struct tgt_port *port, struct tgt_shard *shard)
{
	struct tgt_conn *conn = mem_new(tgt->io, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->tgt = tgt;
	conn->port = port;
	conn->shard = shard;
	list_add_tail(&port->conns, &conn->port_link);
	list_add_tail(&tgt->strangers, &conn->home_link);
	tgt->stranger_count++;
	tgt->conn_count++;
	event_clear(&tgt->conns_gone);
	event_clear(&port->conns_gone);
	return conn;
}

void tgt_conn_home_close(struct tgt_conn *conn)
{
	if (conn->home_closing)
		return;
	conn->home_closing = true;
	conn->close_mail.run = tgt_conn_close_wanted;
	reactor_send(conn->tgt->home, conn->shard->reactor, &conn->close_mail);
}

/* It has known its host, or has ended. */
void tgt_conn_no_stranger(struct tgt_conn *conn)
{
	if (!list_is_linked(&conn->home_link))
		return;
	list_del(&conn->home_link);
	conn->tgt->stranger_count--;
}

void tgt_conn_gone(struct mail *mail, struct reactor *at)
{
	struct tgt_conn *conn = container_of(mail, struct tgt_conn, gone_mail);

	conn->home_closing = true;
	conn->home_gone = true;
	tgt_conn_no_stranger(conn);
	tgt_cmd_drop(conn);
	if (conn->waits)
		event_set(conn->waits);
	if (conn->ctrl)
		tgt_ctrl_conn_gone(conn->ctrl, conn);
}

void tgt_conn_drained(struct mail *mail, struct reactor *at)
{
	struct tgt_conn *conn = container_of(mail, struct tgt_conn, drained_mail);
	struct tgt_port *port = conn->port;
	struct tgt *tgt = conn->tgt;

	must(conn->home_gone);
	if (conn->ctrl)
		tgt_ctrl_del_conn(conn->ctrl, conn);
	list_del(&conn->port_link);
	if (list_empty(&port->conns))
		event_set(&port->conns_gone);
	if (--tgt->conn_count == 0)
		event_set(&tgt->conns_gone);
	conn->drained_mail.run = tgt_conn_free;
	reactor_send(tgt->home, conn->shard->reactor, &conn->drained_mail);
}
