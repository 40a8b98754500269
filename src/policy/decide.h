/* Decides whether a client may do what it asks for: the first rule that matches the client and the
 * request applies; if none matches, the request is denied. If there are no rules at all, every
 * client that may connect may do everything, except forwarding beyond loopback and running as
 * another user.
 *
 * Owns:    a decision owns the members marked so, and a reference to the rules.
 * Threads: any; the rules are only read.
 * Blocks:  policy_decide, on the file system, when it looks up a bare name in the server's PATH
 *          (resolve.h): not for an event loop. It never touches a path that the client has chosen,
 *          as that could hang. The others never block.
 * Limits:  none of its own. */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include <stdbool.h>

#include "policy/rules.h"

enum { POLICY_REASON_BYTES = 384 };

/* The client. All borrowed. */
struct policy_client {
    char *const *names;  /* NULL-terminated; for their form see client_pattern.h */
    const char *address; /* as address_format writes it */
};

/* What the client asks for. All borrowed. */
struct policy_request {
    char *const *argv;   /* NULL-terminated, never NULL: {"/bin/sh", "-c", LINE} for a shell line */
    bool is_shell;       /* argv is a shell line */
    bool is_files;       /* the subsystem sftp instead of a command; argv does not matter */
    const char *forward; /* a connection to "host:port" instead of a command, likewise; or NULL */
    bool login;          /* the user's login shell; argv is only for the audit log */
    bool home;           /* begins in the user's home */
    bool shell_of_user;  /* a shell line is for the user's shell, not for /bin/sh */
    char *const *env;    /* "NAME=value", NULL-terminated; NULL: none */
    const char *cwd;     /* NULL: not asked for */
    const char *user;    /* NULL: not asked for */
    const char *path;    /* the server's PATH */
    const struct user *self; /* the user that the server runs as; NULL: not known */
    bool pty;                /* on a terminal */
};

struct policy_decision {
    bool allowed;
    struct rules *rules;              /* a reference; NULL: there are none */
    const struct rule *rule;          /* the rule that matched; NULL: none. Without rules:
                                         rules_otherwise, which has no name */
    char reason[POLICY_REASON_BYTES]; /* why it was denied; with deny_reason = brief only logged */

    /* What to run; NULL: what was asked for. */
    const char *program;     /* the path to execute, whatever argv[0] is; borrowed */
    char **argv;             /* the array is owned; its words are the rule's or the request's */
    char *original;          /* owned; "AFAR_ORIGINAL_COMMAND=…", with a forced command */
    struct words split;      /* owned; the words of a shell line that is run without a shell */
    char *login_name;        /* owned; argv[0] of a login shell */
    const struct user *user; /* the user to run as; NULL: not known. Borrowed */

    /* The working directory; NULL: the server's. Borrowed. */
    const char *cwd;
    bool cwd_is_home; /* it was not asked for by name: if it cannot be entered, use "/" */

    /* For files. */
    struct words roots; /* owned; made by rule_files_roots */
    const char *home;   /* NULL: not known; borrowed */
};

/* `rules` may be NULL. AFAR_OK: it is decided; see decision->allowed. AFAR_ENOMEM; AFAR_EINVAL: a
 * root for files is in the home, which is not known. Call policy_decision_close in any case; the
 * decision must not outlive the request. */
enum afar_status policy_decide(struct rules *rules, const struct policy_client *client,
                               const struct policy_request *request,
                               struct policy_decision *decision, struct afar_error *err);
void policy_decision_close(struct policy_decision *decision);

/* Whether the rule of the decision lets the client set this "NAME=value". True without a rule. */
bool policy_may_set(const struct policy_decision *decision, const char *entry);

/* Whether a rule for this client allows at least one of these verbs (enum policy_verb), or there
 * are no rules. */
bool policy_may(const struct rules *rules, const struct policy_client *client, unsigned verbs);

/* The same for jobs of other clients (jobs = all). */
bool policy_may_others(const struct rules *rules, const struct policy_client *client,
                       unsigned verbs);

#endif
