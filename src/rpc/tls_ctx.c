// SPDX-License-Identifier: Apache-2.0
/*
 * tls_ctx - certificates and keys out of PEM files.
 *
 * The files are read by fibers; parsing them takes stack and time, so a worker thread does it.
 */
#include "rpc/tls_ctx_priv.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "rpc/rpc.h"

#define TLS_FILE_MAX  (1u << 20)
#define TLS_CERTS_MAX 256u /* in one file */

struct tls_file {
	const char *path;
	char *text; /* owned; NULL: no such file was named */
	size_t len;
};

struct tls_load {
	SSL_CTX *ctx;
	struct tls_file ca, cert, key;
	struct err err;
};

static const uint8_t alpn_h2[] = { 2, 'h', '2' };

/* ---- on a worker thread ---------------------------------------------------------- */

static int load_fail(struct tls_load *load, const struct tls_file *file, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	err_fail(&load->err, -EINVAL, "'%s': %s%s%s", file->path, what, reason ? ": " : "",
		 reason ? reason : "");
	ERR_clear_error();
	return -EINVAL;
}

static BIO *load_open(const struct tls_file *file)
{
	return BIO_new_mem_buf(file->text, (int)file->len);
}

static int no_password(char *buf, int size, int writes, void *ctx)
{
	return -1;
}

static int load_one_ca(SSL_CTX *ctx, X509 *cert)
{
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1 &&
	       SSL_CTX_add_client_CA(ctx, cert) == 1;
}

/* Each certificate of a file; the first is the leaf, if it is a chain. */
static int load_certs(struct tls_load *load, const struct tls_file *file, bool is_ca)
{
	BIO *bio = load_open(file);
	unsigned count = 0;
	bool good = bio;
	X509 *cert;

	while (good && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
		if (is_ca)
			good = load_one_ca(load->ctx, cert);
		else if (count == 0)
			good = SSL_CTX_use_certificate(load->ctx, cert) == 1;
		else
			good = SSL_CTX_add1_chain_cert(load->ctx, cert) == 1;
		X509_free(cert);
		good = good && ++count <= TLS_CERTS_MAX;
	}
	BIO_free(bio);
	if (!good || count == 0)
		return load_fail(load, file, "no certificate in PEM form");
	ERR_clear_error(); /* of the end of the file */
	return 0;
}

static int load_key(struct tls_load *load)
{
	BIO *bio = load_open(&load->key);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	bool good = key && SSL_CTX_use_PrivateKey(load->ctx, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	if (!good)
		return load_fail(load, &load->key,
				 "no private key (in PEM form, without password)");
	if (SSL_CTX_check_private_key(load->ctx) != 1)
		return load_fail(load, &load->key, "not the key of the certificate");
	return 0;
}

static int64_t load_all(void *arg)
{
	struct tls_load *load = arg;
	int r = 0;

	ERR_clear_error();
	if (load->ca.text)
		r = load_certs(load, &load->ca, true);
	if (r == 0 && load->cert.text)
		r = load_certs(load, &load->cert, false);
	if (r == 0 && load->key.text)
		r = load_key(load);
	return r;
}

/* ---- the rules ------------------------------------------------------------------- */

/* TL1: the server's side of it; a client that says nothing is found out after the handshake. */
static int alpn_select(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
		       const unsigned char *in, unsigned in_len, void *ctx)
{
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)ret, ret_len, alpn_h2,
				  sizeof(alpn_h2), in, in_len) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *ctx_new(bool is_server, bool has_ca)
{
	SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	int verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT; /* TL2 */

	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* TL3 */
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_verify(ctx, is_server && !has_ca ? SSL_VERIFY_NONE : verify, NULL);
	if (is_server)
		SSL_CTX_set_alpn_select_cb(ctx, alpn_select, NULL);
	else if (SSL_CTX_set_alpn_protos(ctx, alpn_h2, sizeof(alpn_h2)) != 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static int file_read(struct fiber *f, const char *path, struct tls_file *file)
{
	file->path = path;
	return path ? fiber_read_file(f, path, TLS_FILE_MAX, &file->text, &file->len) : 0;
}

static int files_read(struct fiber *f, const struct rpc_tls_files *files, struct tls_load *load)
{
	int r = file_read(f, files->ca, &load->ca);

	if (r == 0)
		r = file_read(f, files->cert, &load->cert);
	return r < 0 ? r : file_read(f, files->key, &load->key);
}

static void load_fini(struct tls_load *load)
{
	if (load->key.text)
		OPENSSL_cleanse(load->key.text, load->key.len);
	mem_free(load->ca.text);
	mem_free(load->cert.text);
	mem_free(load->key.text);
}

static int ctx_load(struct fiber *f, const struct rpc_tls_files *files, SSL_CTX *ctx)
{
	struct tls_load load = { .ctx = ctx };
	int r = files_read(f, files, &load);

	if (r == 0)
		r = (int)fiber_work(f, load_all, &load);
	if (r < 0 && load.err.code)
		fiber_fail(f, r, "TLS: %s", load.err.words);
	load_fini(&load);
	return r;
}

int rpc_tls_new(struct fiber *f, const struct rpc_tls_files *files, bool is_server,
		struct rpc_tls **ret)
{
	struct rpc_tls *tls;
	int r;

	if (is_server ? !files->cert : !files->ca)
		return fiber_fail(f, -EINVAL, "TLS: a %s needs a %s",
				  is_server ? "server" : "client",
				  is_server ? "certificate" : "CA");
	if (!files->cert != !files->key)
		return fiber_fail(f, -EINVAL, "TLS: a certificate and its key go together");
	tls = mem_new(fiber_io(f), sizeof(*tls));
	if (!tls)
		return -ENOMEM;
	tls->is_server = is_server;
	tls->ctx = ctx_new(is_server, files->ca);
	r = tls->ctx ? ctx_load(f, files, tls->ctx) : -ENOMEM;
	if (r < 0) {
		rpc_tls_free(tls);
		return r;
	}
	*ret = tls;
	return 0;
}

void rpc_tls_free(struct rpc_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->ctx);
	mem_free(tls);
}
