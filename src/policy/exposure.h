/* Which of the server's own files a user could read or change, according to permissions: the state
 * directory, the private key, the audit log, the certificates and CRL, the configuration.
 *
 * Owns:    a struct exposure owns its words.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  PATH_MAX. Ignores access control lists and security modules. */
#ifndef POLICY_EXPOSURE_H
#define POLICY_EXPOSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/config.h"

/* The user and groups that a command runs as. `groups` is borrowed. */
struct exposure_who {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
};

struct exposure {
    struct words reads;   /* secret files that can be read: "tls_key /etc/afar/key.pem" */
    struct words changes; /* likewise: files that can be changed, or replaced through a folder */
    struct words folders; /* the folders of both, without links */
};

/* Fills *exposure; for root, with all files. AFAR_ENOMEM. Call exposure_close in any case. */
enum afar_status exposure_find(struct exposure *exposure, const struct config *config,
                               const struct exposure_who *who, struct afar_error *err);
void exposure_close(struct exposure *exposure);

/* Shortens `folder` (absolute, without links) to the uppermost folder on the way to it in which
 * `who` can create files; leaves it unchanged if there is none. */
void exposure_climb(char *folder, const struct exposure_who *who);

#endif
