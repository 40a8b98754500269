/* Collects a command's output whose size must be known before its first byte is sent: in memory up
 * to a bound, then in an unlinked temporary file.
 *
 *     reserve, commit …   then   rewind, next, next, … until a chunk of size 0
 *
 * Owns:    the memory and the files.
 * Threads: its worker's; file work is done by the companion, between a call and its callback.
 * Blocks:  never.
 * Limits:  collect_memory_bytes per stream in memory, collect_max_bytes in all. */
#ifndef SERVER_PROTOCOL_COLLECTOR_H
#define SERVER_PROTOCOL_COLLECTOR_H

#include "base/digest.h"
#include "server/worker.h"
#include "wire/message.h"

struct collector;

struct collector_ops {
    /* There is room again after collector_reserve returned AFAR_EAGAIN. */
    void (*room)(void *owner);
    /* The chunk that collector_next asked for; borrowed until the next call of collector_next.
     * Standard output comes first, then standard error; size 0 is the end. */
    void (*chunk)(void *owner, const uint8_t *data, size_t size);
    /* The temporary file failed (a full disk, …): the output is incomplete, and can only be freed.
     */
    void (*failed)(void *owner, const struct afar_error *err);
};

/* `ops` is *kept*; `owner` is passed to its functions. NULL: out of memory. */
struct collector *collector_new(struct worker *worker, const struct collector_ops *ops,
                                void *owner);

/* No op is called any more. Frees it now, or when the companion is done with it. NULL is fine. */
void collector_free(struct collector *collector);

/* As output_log_reserve. AFAR_EAGAIN: full until ops->room. AFAR_ELIMIT: more than
 * collect_max_bytes have come. AFAR_ENOMEM. */
enum afar_status collector_reserve(struct collector *collector, enum stream stream, uint8_t **room,
                                   size_t *size, struct afar_error *err);
void collector_commit(struct collector *collector, enum stream stream, size_t size);

uint64_t collector_total(const struct collector *collector);

/* The next chunk will be the first. */
void collector_rewind(struct collector *collector);

/* Rewinds, and hashes every chunk (in the companion) until collector_end_hash. Errors as digest_new
 * and digest_finish. */
enum afar_status collector_begin_hash(struct collector *collector, const char *algorithm,
                                      struct afar_error *err);
enum afar_status collector_end_hash(struct collector *collector, char hex[DIGEST_HEX_BYTES],
                                    struct afar_error *err);

/* Asks for the next chunk: ops->chunk is called, possibly before this returns; or ops->failed. */
void collector_next(struct collector *collector);

#endif
