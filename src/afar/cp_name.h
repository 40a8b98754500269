/* What a word of `afar cp` names: HOST:PATH, a local path, or a standard stream.
 *
 * Owns:    its strings (cp_name_close).
 * Threads: any.
 * Blocks:  never.
 * Limits:  none beyond argv's. */
#ifndef AFAR_CP_NAME_H
#define AFAR_CP_NAME_H

#include <stdbool.h>

struct cp_name {
    bool is_stream; /* "-" */
    char *host;     /* as `afar run` takes it; NULL: local */
    char *path;     /* "." if nothing follows HOST: */
};

/* HOST:PATH, HOST:PORT:PATH, tls://HOST[:PORT]:PATH, tcp://…, unix:///SOCKET:PATH; IPv6 in
 * brackets. A word with '/' before its first ':' is local. False: out of memory; cp_name_close is
 * still needed. */
bool cp_name_parse(struct cp_name *name, const char *word);
/* Replaces the path by a copy of this one. False: out of memory; it has no path then. */
bool cp_name_set_path(struct cp_name *name, const char *path);
void cp_name_close(struct cp_name *name);

#endif
