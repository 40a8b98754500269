/* Single requests to a server, to look at files before a copy begins.
 *
 * Owns:    the names of a list (query_close).
 * Threads: one owner.
 * Blocks:  never: `done` is set when the answer is there.
 * Limits:  QUERY_NAMES_MAX matching names, of QUERY_LISTED_MAX in the directory. */
#ifndef COPY_QUERY_H
#define COPY_QUERY_H

#include "copy/copy.h"

/* A server could go on with a list for ever; directories of millions of files exist. */
enum { QUERY_NAMES_MAX = 65536, QUERY_LISTED_MAX = 1 << 23 };

struct query {
    bool done;
    bool failed;
    struct afar_error err; /* if failed; reason: ENOENT, … */
    struct info info;
    struct requests *requests;
    /* for query_list; the answer of query_expand */
    char path[SFTP_PATH_MAX_BYTES];
    char after[256];
    char pattern[256];
    char **names;
    size_t count;
    size_t listed; /* names in the directory so far */
};

/* Asks for attributes: `info`. `follow`: those of a link's target. */
void query_stat(struct query *query, struct requests *requests, const char *path, bool follow);

/* Makes a directory. Fails if it exists. */
void query_mkdir(struct query *query, struct requests *requests, const char *path);

/* Asks for the names in a directory that match a pattern (glob(7)), in order. */
void query_list(struct query *query, struct requests *requests, const char *path,
                const char *pattern);

/* Expands a path that begins with '~'. Result: `path`. */
void query_expand(struct query *query, struct requests *requests, const char *path);

void query_close(struct query *query);

#endif
