// SPDX-License-Identifier: Apache-2.0
/*
 * code - gRPC's statuses, and what errno and HTTP say in their place.
 */
#include <errno.h>

#include "base/lang.h"
#include "rpc/code_priv.h"
#include "rpc/rpc.h"

static const struct {
	int error;
	enum rpc_code code;
} errors[] = {
	{ ENOENT, RPC_NOT_FOUND },
	{ ENODEV, RPC_NOT_FOUND },
	{ ENXIO, RPC_NOT_FOUND },
	{ EEXIST, RPC_ALREADY_EXISTS },
	{ EINVAL, RPC_INVALID_ARGUMENT },
	{ E2BIG, RPC_INVALID_ARGUMENT },
	{ ENAMETOOLONG, RPC_INVALID_ARGUMENT },
	{ EISDIR, RPC_INVALID_ARGUMENT },
	{ ENOTDIR, RPC_INVALID_ARGUMENT },
	{ EILSEQ, RPC_INVALID_ARGUMENT },
	{ ERANGE, RPC_OUT_OF_RANGE },
	{ EOVERFLOW, RPC_OUT_OF_RANGE },
	{ EFBIG, RPC_OUT_OF_RANGE },
	{ ENOSPC, RPC_RESOURCE_EXHAUSTED },
	{ ENOMEM, RPC_RESOURCE_EXHAUSTED },
	{ EDQUOT, RPC_RESOURCE_EXHAUSTED },
	{ EMFILE, RPC_RESOURCE_EXHAUSTED },
	{ ENFILE, RPC_RESOURCE_EXHAUSTED },
	{ EBUSY, RPC_FAILED_PRECONDITION },
	{ EPERM, RPC_FAILED_PRECONDITION },
	{ EROFS, RPC_FAILED_PRECONDITION },
	{ ENOTEMPTY, RPC_FAILED_PRECONDITION },
	{ ESTALE, RPC_FAILED_PRECONDITION },
	{ EALREADY, RPC_ABORTED },
	{ EINPROGRESS, RPC_ABORTED },
	{ EDEADLK, RPC_ABORTED },
	{ EACCES, RPC_PERMISSION_DENIED },
	{ EKEYREJECTED, RPC_UNAUTHENTICATED },
	{ ENOTSUP, RPC_UNIMPLEMENTED },
	{ ENOSYS, RPC_UNIMPLEMENTED },
	{ ETIMEDOUT, RPC_DEADLINE_EXCEEDED },
	{ ETIME, RPC_DEADLINE_EXCEEDED },
	{ ECANCELED, RPC_CANCELLED },
	{ ENOTCONN, RPC_UNAVAILABLE },
	{ EAGAIN, RPC_UNAVAILABLE },
	{ ECONNREFUSED, RPC_UNAVAILABLE },
	{ ECONNRESET, RPC_UNAVAILABLE },
	{ ECONNABORTED, RPC_UNAVAILABLE },
	{ EPIPE, RPC_UNAVAILABLE },
	{ ESHUTDOWN, RPC_UNAVAILABLE },
	{ EHOSTUNREACH, RPC_UNAVAILABLE },
	{ EHOSTDOWN, RPC_UNAVAILABLE },
	{ ENETUNREACH, RPC_UNAVAILABLE },
	{ ENETDOWN, RPC_UNAVAILABLE },
	{ EBADMSG, RPC_DATA_LOSS },
	{ EUCLEAN, RPC_DATA_LOSS },
};

static const char *const names[RPC_CODES] = {
	[RPC_OK] = "OK",
	[RPC_CANCELLED] = "CANCELLED",
	[RPC_UNKNOWN] = "UNKNOWN",
	[RPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
	[RPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
	[RPC_NOT_FOUND] = "NOT_FOUND",
	[RPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
	[RPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
	[RPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
	[RPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
	[RPC_ABORTED] = "ABORTED",
	[RPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
	[RPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
	[RPC_INTERNAL] = "INTERNAL",
	[RPC_UNAVAILABLE] = "UNAVAILABLE",
	[RPC_DATA_LOSS] = "DATA_LOSS",
	[RPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

enum rpc_code rpc_code_of_errno(int error)
{
	if (error == 0)
		return RPC_OK;
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].error == (error < 0 ? -error : error))
			return errors[i].code;
	return RPC_INTERNAL;
}

int rpc_errno_of_code(enum rpc_code code)
{
	if (code == RPC_OK)
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].code == code)
			return -errors[i].error; /* the first of its kind */
	return -EIO;
}

const char *rpc_code_name(enum rpc_code code)
{
	return code < RPC_CODES ? names[code] : names[RPC_UNKNOWN];
}

enum rpc_code rpc_code_of_http(unsigned status)
{
	switch (status) {
	case 400:
		return RPC_INTERNAL;
	case 401:
		return RPC_UNAUTHENTICATED;
	case 403:
		return RPC_PERMISSION_DENIED;
	case 404:
		return RPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return RPC_UNAVAILABLE;
	default:
		return RPC_UNKNOWN;
	}
}

enum rpc_code rpc_code_of_reset(uint32_t error)
{
	switch (error) {
	case 0x7: /* REFUSED_STREAM */
		return RPC_UNAVAILABLE;
	case 0x8: /* CANCEL */
		return RPC_CANCELLED;
	case 0xb: /* ENHANCE_YOUR_CALM */
		return RPC_RESOURCE_EXHAUSTED;
	case 0xc: /* INADEQUATE_SECURITY */
		return RPC_PERMISSION_DENIED;
	default:
		return RPC_INTERNAL;
	}
}
