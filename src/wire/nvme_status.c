// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_status - what a completion says.
 */
#include <errno.h>

#include "wire/nvme_status.h"

static const struct {
	uint16_t status;
	char text[62];
} status_texts[] = {
#define STATUS_TEXT_(code, name, text) { code, text },
	NVME_STATUSES(STATUS_TEXT_)
#undef STATUS_TEXT_
};

const char *nvme_status_text(uint16_t status)
{
	for (size_t i = 0; i < ARRAY_LEN(status_texts); i++)
		if (status_texts[i].status == (status & NVME_SC_MASK))
			return status_texts[i].text;
	return "";
}

uint16_t nvme_status_of_error(int error)
{
	switch (error) {
	case 0:
		return NVME_SUCCESS;
	case -EINVAL:
		return NVME_INVALID_FIELD | NVME_DNR;
	case -ENOTSUP:
		return NVME_INVALID_OPCODE | NVME_DNR;
	case -ENOSPC:
		return NVME_CAPACITY_EXCEEDED | NVME_DNR;
	case -EROFS:
		return NVME_NAMESPACE_WRITE_PROTECTED | NVME_DNR;
	case -EILSEQ:
		return NVME_COMPARE_FAILURE | NVME_DNR;
	case -ENODATA:
		return NVME_UNRECOVERED_READ | NVME_DNR;
	case -ESTALE:
		return NVME_RESERVATION_CONFLICT | NVME_DNR;
	case -ENODEV:
		return NVME_NAMESPACE_NOT_READY;
	case -ECANCELED:
		return NVME_ABORT_REQUESTED;
	case -EAGAIN:
	case -EBUSY:
	case -ENOMEM:
		return NVME_COMMAND_INTERRUPTED;
	default:
		return NVME_INTERNAL_ERROR;
	}
}

int nvme_status_to_error(uint16_t status)
{
	switch (status & NVME_SC_MASK) {
	case NVME_SUCCESS:
		return 0;
	case NVME_INVALID_FIELD:
	case NVME_LBA_OUT_OF_RANGE:
	case NVME_DATA_SGL_LENGTH_INVALID:
		return -EINVAL;
	case NVME_INVALID_OPCODE:
		return -ENOTSUP;
	case NVME_CAPACITY_EXCEEDED:
		return -ENOSPC;
	case NVME_NAMESPACE_WRITE_PROTECTED:
	case NVME_READ_ONLY_RANGE:
		return -EROFS;
	case NVME_COMPARE_FAILURE:
		return -EILSEQ;
	case NVME_UNRECOVERED_READ:
	case NVME_GUARD_CHECK:
	case NVME_APPTAG_CHECK:
	case NVME_REFTAG_CHECK:
	case NVME_UNWRITTEN_BLOCK:
		return -ENODATA;
	case NVME_RESERVATION_CONFLICT:
		return -ESTALE;
	case NVME_INVALID_NAMESPACE:
	case NVME_NAMESPACE_NOT_READY:
	case NVME_ANA_PERSISTENT_LOSS:
	case NVME_ANA_INACCESSIBLE:
		return -ENODEV;
	case NVME_ABORT_REQUESTED:
	case NVME_ABORTED_SQ_DELETION:
	case NVME_ABORTED_PREEMPT:
	case NVME_ABORTED_BY_HOST:
		return -ECANCELED;
	case NVME_COMMAND_INTERRUPTED:
	case NVME_ANA_TRANSITION:
		return -EAGAIN;
	default:
		return -EIO;
	}
}
