/* Who may do what: the first rule that is for the client and for what it asks decides; where there
 * is none, the answer is no. Without any rule at all, every client that was let in may do
 * everything.
 *
 * Owns:    a decision owns what it says it owns, and a reference to the rules.
 * Threads: any; the rules are only read.
 * Blocks:  policy_decide, on the file system, where it looks for a bare name in the server's PATH
 *          (resolve.h): not for an event loop. It touches no path that the client has chosen: such
 *          a path may hang. policy_may never.
 * Limits:  none of its own. */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include <stdbool.h>

#include "policy/rules.h"

enum { POLICY_REASON_BYTES = 384 };

/* Who asks. All borrowed. */
struct policy_client {
    char *const *names;  /* NULL-terminated: client_pattern.h says of what form */
    const char *address; /* as address_format writes it */
};

/* For what. All borrowed. */
struct policy_request {
    char *const *argv;   /* NULL-terminated, never NULL: {"/bin/sh", "-c", LINE} for a shell line */
    bool is_shell;       /* … which it is only where this says so */
    bool is_files;       /* no command, but the subsystem sftp; then argv is not looked at */
    const char *forward; /* no command, but a connection to "host:port"; likewise; NULL: not */
    bool login;          /* the user's login shell; argv is what the audit log calls it */
    bool home;           /* begins in the user's home */
    bool shell_of_user;  /* a shell line is for the user's shell, not for /bin/sh */
    char *const *env;    /* "NAME=value", NULL-terminated; NULL: none */
    const char *cwd;     /* NULL: not asked for */
    const char *user;    /* NULL: not asked for */
    const char *path;    /* the server's PATH */
    const struct user *self; /* whom the server runs as; NULL: not known */
    bool pty;                /* on a terminal */
};

struct policy_decision {
    bool allowed;
    struct rules *rules;              /* a reference; NULL: there are none */
    const struct rule *rule;          /* of these; NULL: none matched, or there are none. Without a
                                         name: rules_otherwise */
    char reason[POLICY_REASON_BYTES]; /* why not; for the operator, not for the client */

    /* What is to be run; NULL: as asked. The words are the rules' and the request's. */
    const char *program;     /* the path to execute, whatever argv[0] says; borrowed */
    char **argv;             /* the array is owned, its words are borrowed */
    char *original;          /* owned; "AFAR_ORIGINAL_COMMAND=…", with a forced command */
    struct words split;      /* owned; a shell line that is run without a shell; none: it is not */
    char *login_name;        /* owned; argv[0] of a login shell */
    const struct user *user; /* as whom it runs; NULL: not known. Borrowed */

    /* Where it begins; NULL: where the server is. Borrowed. */
    const char *cwd;
    bool cwd_is_home; /* nobody asked for it by name: where it cannot be entered, "/" will do */

    /* Of files. */
    struct words roots; /* owned; as rule_files_roots gives them */
    const char *home;   /* NULL: not known; borrowed */
};

/* `rules` may be NULL. AFAR_OK: decided, either way. AFAR_ENOMEM. policy_decision_close in any
 * case; the decision must not outlive the request. */
enum afar_status policy_decide(struct rules *rules, const struct policy_client *client,
                               const struct policy_request *request,
                               struct policy_decision *decision, struct afar_error *err);
void policy_decision_close(struct policy_decision *decision);

/* Whether the rule that allowed it lets the client set this "NAME=value". */
bool policy_may_set(const struct policy_decision *decision, const char *entry);

/* Whether some rule for this client allows one of these verbs (enum policy_verb) at all. */
bool policy_may(const struct rules *rules, const struct policy_client *client, unsigned verbs);

/* Whether one of these may be for the jobs of other clients too. */
bool policy_may_others(const struct rules *rules, const struct policy_client *client,
                       unsigned verbs);

#endif
