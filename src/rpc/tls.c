// SPDX-License-Identifier: Apache-2.0
/*
 * tls - one TLS connection, bytes in and bytes out.
 */
#include "rpc/tls_priv.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "rpc/tls_ctx_priv.h"

struct tls_conn {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	bool is_open;
};

static const uint8_t alpn_h2[] = { 2, 'h', '2' };

/* ---- life ------------------------------------------------------------------------ */

/* TL2 */
static bool tls_expect(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name))
		return true;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

static int tls_conn_setup(struct tls_conn *t, struct rpc_tls *tls, const char *name,
			  uint64_t wall_ns)
{
	t->ssl = SSL_new(tls->ctx);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->out) {
		BIO_free(t->in);
		BIO_free(t->out);
		return -ENOMEM;
	}
	SSL_set_bio(t->ssl, t->in, t->out);
	X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), (time_t)(wall_ns / 1000000000));
	if (tls->is_server) {
		SSL_set_accept_state(t->ssl);
		return 0;
	}
	SSL_set_connect_state(t->ssl);
	return tls_expect(t->ssl, name) ? 0 : -EINVAL;
}

int tls_conn_new(struct rpc_tls *tls, struct mem *mem, const char *name, uint64_t wall_ns,
		 struct tls_conn **ret)
{
	struct tls_conn *t = mem_alloc(mem, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = tls_conn_setup(t, tls, name, wall_ns);
	ERR_clear_error();
	if (r < 0) {
		tls_conn_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tls_conn_free(struct tls_conn *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	mem_free(t);
}

/* ---- bytes ----------------------------------------------------------------------- */

int tls_feed(struct tls_conn *t, const void *bytes, size_t len)
{
	size_t written = 0;

	return BIO_write_ex(t->in, bytes, len, &written) == 1 && written == len ? 0 : -ENOMEM;
}

/* TL1 */
static int tls_agreed(struct tls_conn *t, struct err *err)
{
	const uint8_t *protocol;
	unsigned len;

	SSL_get0_alpn_selected(t->ssl, &protocol, &len);
	if (len != 2 || memcmp(protocol, alpn_h2 + 1, 2) != 0)
		return err_fail(err, -EPROTO, "TLS: the peer does not speak HTTP/2 (ALPN \"h2\")");
	t->is_open = true;
	return 0;
}

static int tls_refused(struct tls_conn *t, struct err *err)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	long verify = SSL_get_verify_result(t->ssl);

	err_fail(err, -EPROTO, "TLS: %s%s%s", reason ? reason : "the connection broke",
		 verify == X509_V_OK ? "" : ": ",
		 verify == X509_V_OK ? "" : X509_verify_cert_error_string(verify));
	ERR_clear_error();
	return -EPROTO;
}

/* What a call that did not go through means: 0, it needs more bytes. */
static int tls_why(struct tls_conn *t, int result, struct err *err)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	default:
		return tls_refused(t, err);
	}
}

int64_t tls_read(struct tls_conn *t, void *buf, size_t room, struct err *err)
{
	size_t len = 0;
	int result, r;

	ERR_clear_error();
	if (!t->is_open) {
		result = SSL_do_handshake(t->ssl);
		if (result != 1)
			return tls_why(t, result, err);
		r = tls_agreed(t, err);
		if (r < 0)
			return r;
	}
	result = SSL_read_ex(t->ssl, buf, room, &len);
	return result == 1 ? (int64_t)len : tls_why(t, result, err);
}

bool tls_is_open(const struct tls_conn *t)
{
	return t->is_open;
}

int tls_write(struct tls_conn *t, const void *bytes, size_t len, struct err *err)
{
	size_t written = 0;

	ERR_clear_error();
	if (SSL_write_ex(t->ssl, bytes, len, &written) == 1 && written == len)
		return 0;
	return tls_refused(t, err);
}

size_t tls_take(struct tls_conn *t, void *buf, size_t room)
{
	size_t len = 0;

	return BIO_read_ex(t->out, buf, room, &len) == 1 ? len : 0;
}
