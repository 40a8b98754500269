/* What a word of `afar cp` names: HOST:PATH, something here, or a standard stream.
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
    char *host;     /* as `afar run` takes it; NULL: here */
    char *path;     /* "." where HOST: has none */
};

/* HOST:PATH, HOST:PORT:PATH, tls://HOST[:PORT]:PATH, tcp://…, unix:///SOCKET:PATH, IPv6 in brackets.
 * A word with '/' before its first ':' is here. False: out of memory. */
bool cp_name_parse(struct cp_name *name, const char *word);
/* Gives it another path, a copy of this. False: out of memory; it has none then. */
bool cp_name_set_path(struct cp_name *name, const char *path);
void cp_name_close(struct cp_name *name);

#endif
