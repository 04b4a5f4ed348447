/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link - a host and a controller that have agreed, for tests of NVMe/TCP.
 */
#ifndef TESTS_UNIT_WIRE_LINK_H
#define TESTS_UNIT_WIRE_LINK_H

#include "wire/nvmetcp.h"

#define LINK_MAXH2CDATA 8192u

struct link {
	struct nvmetcp_rules host;
	struct nvmetcp_rules ctrl;
};

static inline void link_init(struct link *link, bool hdgst, bool ddgst, uint8_t hpda, uint8_t cpda)
{
	struct nvmetcp_ic icreq = { .align = hpda, .hdgst = hdgst, .ddgst = ddgst, .maxr2t = 3 };
	struct nvmetcp_ic icresp = {
		.align = cpda,
		.hdgst = hdgst,
		.ddgst = ddgst,
		.maxh2cdata = LINK_MAXH2CDATA,
	};

	nvmetcp_rules_init(&link->host, false);
	nvmetcp_rules_init(&link->ctrl, true);
	nvmetcp_rules_agree(&link->host, &icreq, &icresp);
	nvmetcp_rules_agree(&link->ctrl, &icreq, &icresp);
}

#endif
