// SPDX-License-Identifier: Apache-2.0
/*
 * malloc_loan - the books of what is lent. See the header for ML1..ML4.
 */
#include <errno.h>

#include "base/mem.h"
#include "base/must.h"
#include "drivers/malloc_loan.h"

static struct list *malloc_loan_bucket(struct malloc_loans *loans, uint64_t chunk)
{
	return &loans->live[chunk % MALLOC_LOAN_BUCKETS];
}

int malloc_loans_new(struct mem *mem, struct malloc_loans **ret)
{
	struct malloc_loans *loans = mem_alloc(mem, sizeof(*loans));

	if (!loans)
		return -ENOMEM;
	for (unsigned i = 0; i < MALLOC_LOAN_BUCKETS; i++)
		list_init(&loans->live[i]);
	*ret = loans;
	return 0;
}

void malloc_loans_close(struct malloc_loans *loans)
{
	for (unsigned i = 0; i < MALLOC_LOAN_BUCKETS; i++)
		must(list_empty(&loans->live[i]));
	loans->is_closed = true;
	if (loans->count == 0)
		mem_free(loans);
}

void malloc_loan_add(struct malloc_loans *loans, uint64_t chunk, struct bdev_loan_piece *piece)
{
	must(loans->count < MALLOC_LOANS_MAX); /* ML3 */
	loans->count++;
	piece->owner = loans;
	piece->memory = NULL;
	list_link_init(&piece->link);
	list_add(malloc_loan_bucket(loans, chunk), &piece->link);
}

void malloc_loan_give_back(struct bdev_loan_piece *piece)
{
	struct malloc_loans *loans = piece->owner;

	if (piece->memory && !list_is_linked(&piece->link))
		mem_free(piece->memory); /* ML2 */
	list_del(&piece->link);
	if (--loans->count == 0 && unlikely(loans->is_closed))
		mem_free(loans);
}

static bool malloc_loan_shows(const struct bdev_loan_piece *piece, const uint8_t *at, uint64_t len)
{
	uintptr_t from = (uintptr_t)piece->iov.iov_base, to = (uintptr_t)at;

	return from < to + len && to < from + piece->iov.iov_len;
}

bool malloc_loans_show(const struct malloc_loans *loans, uint64_t chunk, const uint8_t *at,
		       uint64_t len)
{
	const struct list *live = &loans->live[chunk % MALLOC_LOAN_BUCKETS];
	const struct bdev_loan_piece *piece;

	list_for_each(piece, live, link)
		if (malloc_loan_shows(piece, at, len))
			return true;
	return false;
}

bool malloc_loans_retire(struct malloc_loans *loans, uint64_t chunk, uint8_t *data, uint64_t len)
{
	struct bdev_loan_piece *piece, *after;
	struct list ring;

	list_init(&ring);
	list_for_each_safe(piece, after, malloc_loan_bucket(loans, chunk), link) {
		if (malloc_loan_shows(piece, data, len)) {
			piece->memory = data;
			list_move_tail(&ring, &piece->link);
		}
	}
	if (list_empty(&ring))
		return false;
	list_del(&ring.head); /* ML2 */
	return true;
}
