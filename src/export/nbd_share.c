// SPDX-License-Identifier: Apache-2.0
/* nbd_share - a disk under a name: opened, claimed, and known on every side. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "export/nbd_priv.h"
#include "reactor/fiber.h"

/* Names are UTF-8 by the protocol; clients put them into URIs and onto terminals. */
static bool text_is_clean(const char *text)
{
	for (const uint8_t *at = (const uint8_t *)text; *at;) {
		unsigned more = *at < 0x80 ? 0 : *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : 1;

		if (*at < 0x20 || *at == 0x7f || (*at >= 0x80 && *at < 0xc2) || *at > 0xf4)
			return false;
		for (at++; more > 0; more--, at++)
			if ((*at & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static int share_check(struct fiber *f, const struct nbd_share_args *args)
{
	if (strlen(args->name) > NBD_SHARE_NAME_MAX)
		return fiber_fail(f, -ENAMETOOLONG, "an export's name has at most %u bytes",
				  NBD_SHARE_NAME_MAX);
	if (args->description && strlen(args->description) > NBD_DESCRIPTION_MAX)
		return fiber_fail(f, -ENAMETOOLONG,
				  "export '%s': a description has at most %u bytes", args->name,
				  NBD_DESCRIPTION_MAX);
	if (!text_is_clean(args->name) || (args->description && !text_is_clean(args->description)))
		return fiber_fail(
			f, -EINVAL,
			"an export's name and description are UTF-8 without control characters");
	return 0;
}

static int share_claim(struct fiber *f, struct nbd_share *share, const struct nbd_share_args *args)
{
	enum bdev_claim_kind kind = args->is_door ? BDEV_CLAIM_DOOR : BDEV_CLAIM_WRITE;
	char who[sizeof(share->claim.who)];

	snprintf(who, sizeof(who), "nbd %.*s", (int)sizeof(who) - 8, share->name);
	share->read_only = args->read_only || share->bdev->read_only;
	return bdev_claim(f, share->bdev, share->read_only ? BDEV_CLAIM_READ : kind, who,
			  &share->claim);
}

int nbd_share_new(struct fiber *f, struct nbd_server *server, const struct nbd_share_args *args,
		  struct nbd_share **ret)
{
	struct nbd_share *share;
	int r = share_check(f, args);

	if (r < 0)
		return r;
	share = mem_new(fiber_io(f), sizeof(*share));
	if (!share)
		return fiber_fail(f, -ENOMEM, "no memory for an export");
	snprintf(share->name, sizeof(share->name), "%s", args->name);
	snprintf(share->description, sizeof(share->description), "%s",
		 args->description ? args->description : "");
	share->id = ++server->next_id;
	r = bdev_open(f, args->uri, &share->bdev);
	if (r == 0) {
		r = share_claim(f, share, args);
		if (r < 0)
			bdev_close(f, share->bdev);
	}
	if (r < 0) {
		mem_free(share);
		return r;
	}
	*ret = share;
	return 0;
}

void nbd_share_free(struct fiber *f, struct nbd_share *share)
{
	bdev_unclaim(f, &share->claim);
	bdev_close(f, share->bdev);
	mem_free(share);
}
