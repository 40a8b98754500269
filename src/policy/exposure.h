/* Which of the server's own files its commands could read or change, by what permissions say: the
 * private key, the audit log, the configuration, and whom to trust.
 *
 * Owns:    a struct exposure owns its words.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  PATH_MAX. Access control lists, and what a security module forbids, are not looked at.
 */
#ifndef POLICY_EXPOSURE_H
#define POLICY_EXPOSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/config.h"

/* Whom a command runs as. `groups` is borrowed. */
struct exposure_who {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
};

struct exposure {
    struct words reads;   /* "tls_key /etc/afar/key.pem" */
    struct words changes; /* likewise: the file, what a link on the way leads to, or a folder */
    struct words folders; /* where these lie, without links */
};

/* For root, that is all of them. AFAR_ENOMEM. exposure_close in any case. */
enum afar_status exposure_find(struct exposure *exposure, const struct config *config,
                               const struct exposure_who *who, struct afar_error *err);
void exposure_close(struct exposure *exposure);

/* Cuts `folder` (absolute, without links) to the uppermost folder on the way to it in which `who`
 * can make something; leaves it as it is where there is none. */
void exposure_climb(char *folder, const struct exposure_who *who);

#endif
