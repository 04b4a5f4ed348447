// SPDX-License-Identifier: Apache-2.0
/*
 * list - intrusive lists: the link lies in the element, nothing is allocated.
 *
 * struct list, doubly linked: O(1) removal of any element.
 * struct queue, singly linked: a FIFO of half the size.
 *
 * L1. A struct list_link is all zero or linked to itself before its first add,
 *     and linked to itself after list_del(). So list_is_linked() is always true
 *     to fact, adding twice is caught, and deleting twice is harmless.
 * L2. A struct list must be initialized; a struct queue may also be all zero.
 *
 * The element pointers of the macros are typed: list_first() and friends give
 * the element or NULL.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/must.h"

struct list_link {
	struct list_link *prev;
	struct list_link *next;
};

struct list {
	struct list_link head; /* head.next is the first element's link */
};

static inline void list_link_init(struct list_link *link)
{
	link->prev = link;
	link->next = link;
}

static inline void list_init(struct list *list)
{
	list_link_init(&list->head);
}

static inline bool list_empty(const struct list *list)
{
	return list->head.next == &list->head;
}

static inline bool list_is_linked(const struct list_link *link)
{
	return link->next && link->next != link;
}

static inline void list_insert_between(struct list_link *prev, struct list_link *link,
				       struct list_link *next)
{
	must(!list_is_linked(link)); /* L1 */
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

/* To the front. */
static inline void list_add(struct list *list, struct list_link *link)
{
	list_insert_between(&list->head, link, list->head.next);
}

static inline void list_add_tail(struct list *list, struct list_link *link)
{
	list_insert_between(list->head.prev, link, &list->head);
}

/* Before another element's link. */
static inline void list_add_before(struct list_link *where, struct list_link *link)
{
	list_insert_between(where->prev, link, where);
}

static inline void list_del(struct list_link *link)
{
	if (list_is_linked(link)) {
		link->prev->next = link->next;
		link->next->prev = link->prev;
	}
	list_link_init(link); /* L1 */
}

static inline void list_move_tail(struct list *list, struct list_link *link)
{
	list_del(link);
	list_add_tail(list, link);
}

/* All of from behind the last of to, in order; from becomes empty. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->head.next->prev = to->head.prev;
	from->head.prev->next = &to->head;
	to->head.prev->next = from->head.next;
	to->head.prev = from->head.prev;
	list_init(from);
}

static inline struct list_link *list_pop_front_link(struct list *list)
{
	struct list_link *link = list->head.next;

	if (link == &list->head)
		return NULL;
	list_del(link);
	return link;
}

#define list_entry(link, type, member) container_of(link, type, member)

/* First, last or removed first element, or NULL. */
#define list_first(list, type, member) \
	(list_empty(list) ? NULL : list_entry((list)->head.next, type, member))
#define list_last(list, type, member) \
	(list_empty(list) ? NULL : list_entry((list)->head.prev, type, member))
#define list_pop_front(list, type, member)                             \
	({                                                             \
		struct list_link *popped_ = list_pop_front_link(list); \
		popped_ ? list_entry(popped_, type, member) : NULL;    \
	})

/* The element after (before) pos, or NULL. */
#define list_next(pos, list, member)           \
	((pos)->member.next == &(list)->head ? \
		 NULL :                        \
		 list_entry((pos)->member.next, __typeof__(*(pos)), member))

/* The list must not change but by adding. Afterwards pos is NULL. */
#define list_for_each(pos, list, member)                                  \
	for ((pos) = list_first(list, __typeof__(*(pos)), member); (pos); \
	     (pos) = list_next(pos, list, member))

#define list_prev(pos, list, member)           \
	((pos)->member.prev == &(list)->head ? \
		 NULL :                        \
		 list_entry((pos)->member.prev, __typeof__(*(pos)), member))

#define list_for_each_reverse(pos, list, member)                         \
	for ((pos) = list_last(list, __typeof__(*(pos)), member); (pos); \
	     (pos) = list_prev(pos, list, member))

/* pos may be removed and freed within the body; after, of pos's type, must stay. */
#define list_for_each_safe(pos, after, list, member)               \
	for ((pos) = list_first(list, __typeof__(*(pos)), member), \
	    (after) = (pos) ? list_next(pos, list, member) : NULL; \
	     (pos); (pos) = (after), (after) = (pos) ? list_next(pos, list, member) : NULL)

struct queue_link {
	struct queue_link *next;
};

struct queue {
	struct queue_link *first;
	struct queue_link *last; /* valid if first is */
};

static inline void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->last = NULL;
}

static inline bool queue_empty(const struct queue *queue)
{
	return !queue->first;
}

static inline void queue_push(struct queue *queue, struct queue_link *link)
{
	link->next = NULL;
	if (queue->first)
		queue->last->next = link;
	else
		queue->first = link;
	queue->last = link;
}

static inline void queue_push_front(struct queue *queue, struct queue_link *link)
{
	link->next = queue->first;
	if (!queue->first)
		queue->last = link;
	queue->first = link;
}

/* NULL if empty. */
static inline struct queue_link *queue_pop(struct queue *queue)
{
	struct queue_link *link = queue->first;

	if (link) {
		queue->first = link->next;
		link->next = NULL;
	}
	return link;
}

/* All of from behind the last of to, in order; from becomes empty. */
static inline void queue_splice(struct queue *to, struct queue *from)
{
	if (!from->first)
		return;
	if (to->first)
		to->last->next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	queue_init(from);
}

/* The first element, left in or taken out, or NULL. */
#define queue_first(queue, type, member) \
	((queue)->first ? container_of((queue)->first, type, member) : NULL)
#define queue_pop_entry(queue, type, member)                          \
	({                                                            \
		struct queue_link *popped_ = queue_pop(queue);        \
		popped_ ? container_of(popped_, type, member) : NULL; \
	})

#endif
