/* Single questions to a server, for what has to be known before a copy begins.
 *
 * Owns:    the names of a list (query_close).
 * Threads: one owner.
 * Blocks:  never: `done` tells when the answer is there.
 * Limits:  QUERY_NAMES_MAX names, which match. */
#ifndef COPY_QUERY_H
#define COPY_QUERY_H

#include "copy/copy.h"

enum { QUERY_NAMES_MAX = 65536 };

struct query {
    bool done;
    bool failed;
    struct afar_error err; /* of one that failed; reason: ENOENT, … */
    struct info info;
    struct requests *requests;
    /* query_list; query_expand: its answer */
    char path[SFTP_PATH_MAX_BYTES];
    char after[256];
    char pattern[256];
    char **names;
    size_t count;
};

/* What is there; `follow` links. */
void query_stat(struct query *query, struct requests *requests, const char *path, bool follow);

/* Makes a directory; that it is there already is a failure too. */
void query_mkdir(struct query *query, struct requests *requests, const char *path);

/* The names in a directory that match a pattern, as glob(7) has it, in order. */
void query_list(struct query *query, struct requests *requests, const char *path,
                const char *pattern);

/* A path that begins with '~' made whole, in `path`. */
void query_expand(struct query *query, struct requests *requests, const char *path);

void query_close(struct query *query);

#endif
