/* A tree of programs, rules about them, and requests: for tests of decisions.
 *
 * Owns:    the tree, until decider_remove_tree.
 * Threads: one.
 * Blocks:  never.
 * Limits:  texts of DECIDER_TEXT_BYTES. In all texts '@' stands for the tree's path.
 *
 *     bin/{git,tool,multi}    programs
 *     bin/{ls,sh} → multi     one program with two names
 *     bin/data                not a program
 *     link → bin              a directory with another name
 *     evil/{git,tool}         other programs with the same names
 *     evil/alias → ../bin/git
 *     evil/bin → ../bin
 *     jail/{bin/tool, up → ../../.., abin → /bin} */
#ifndef SUPPORT_DECIDER_H
#define SUPPORT_DECIDER_H

#include <stddef.h>

#include "policy/config.h"
#include "policy/decide.h"

enum { DECIDER_TEXT_BYTES = 4096 };

/* Setup and teardown for cmocka. The tree becomes the working directory. */
int decider_make_tree(void **state);
int decider_remove_tree(void **state);

void decider_expand(char *out, size_t size, const char *text);

/* Reads a configuration with rules, and checks the rules. */
enum afar_status decider_load(struct config *config, const char *text, struct afar_error *err);

struct asked {
    const char *names; /* separated by blanks */
    const char *address;
    const char *words; /* "-s LINE": a shell line; else as template_split reads them */
    const char *env;   /* separated by blanks; NULL: none */
    const char *cwd;
    const char *user;
};

struct decider_request {
    struct words names;
    struct words argv;
    struct words env;
    struct policy_client client;
    struct policy_request request;
    char cwd[4096 + 64];
    char path[8192];
};

void decider_request_make(struct decider_request *made, const struct asked *asked);
void decider_request_close(struct decider_request *request);

/* Returns the name of the rule that allows the request; "no" if a rule matches but refuses; "-" if
 * no rule matches. */
const char *decider_decide(struct rules *rules, const struct asked *asked, char answer[64],
                           char *reason, size_t reason_size);

#endif
