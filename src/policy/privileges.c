#include "policy/privileges.h"

#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHOWN_BYTES = 80, NAMES_BYTES = 160 };

/* Whether the process has the capability now. True if that cannot be found out: then starting the
 * command fails if it is missing. */
static bool has(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, sets) != 0)
        return true;
    return (sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

/* Whether a program that root executes, as our helper, has the capability. */
static bool passes_on(unsigned capability)
{
    return has(capability) && prctl(PR_CAPBSET_READ, (unsigned long)capability, 0, 0, 0) != 0;
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* Whether the rule has a limit above the hard limit of this process. */
static bool raises_limits(const struct rule *rule)
{
    const struct {
        const struct rule_number *number;
        int resource;
    } limits[] = {{&rule->nofile, RLIMIT_NOFILE}, {&rule->nproc, RLIMIT_NPROC},
                  {&rule->as_bytes, RLIMIT_AS},   {&rule->core_bytes, RLIMIT_CORE},
                  {&rule->cpu_s, RLIMIT_CPU},     {&rule->files_max, RLIMIT_FSIZE}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit now = {.rlim_max = RLIM_INFINITY};
        if (limits[i].number->set && getrlimit((unsigned)limits[i].resource, &now) == 0 &&
            limits[i].number->value > now.rlim_max)
            return true;
    }
    return false;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static enum afar_status check_user(const struct rule *rule, struct afar_error *err)
{
    if (geteuid() == 0)
        return AFAR_OK;
    if (rule->user.name != NULL && rule->user.uid != geteuid())
        return afar_fail(err, AFAR_EINVAL,
                         "user = %.*s: this server runs as uid %u and cannot become another user; "
                         "start it as root, or leave user out",
                         SHOWN_BYTES, rule->user.name, (unsigned)geteuid());
    if (rule_switches(rule))
        return afar_fail(err, AFAR_EINVAL,
                         "user, group and chroot need a server that was started as root; this one "
                         "runs as uid %u",
                         (unsigned)geteuid());
    if (rule->nice_set && rule->nice < 0)
        return afar_fail(err, AFAR_EINVAL,
                         "a negative nice needs a server that was started as root");
    return AFAR_OK;
}

enum afar_status privileges_check(const struct rule *rule, struct afar_error *err)
{
    const bool user = rule->user.name != NULL;
    const bool other = user && rule->user.uid != geteuid();
    /* Needed by the helper to start the command, or by the server to end it. */
    const struct {
        const char *name;
        bool wanted;
        bool there;
    } needs[] = {
        {"CAP_SETUID", other, passes_on(CAP_SETUID)},
        {"CAP_SETGID", user || rule->group_set, passes_on(CAP_SETGID)},
        {"CAP_SETPCAP", other, passes_on(CAP_SETPCAP)},
        {"CAP_KILL", other, has(CAP_KILL)},
        {"CAP_SYS_CHROOT", rule->chroot != NULL, passes_on(CAP_SYS_CHROOT)},
        {"CAP_SYS_NICE", rule->nice_set && rule->nice < 0, passes_on(CAP_SYS_NICE)},
        {"CAP_SYS_RESOURCE", raises_limits(rule), passes_on(CAP_SYS_RESOURCE)},
    };
    char missing[NAMES_BYTES] = "";
    enum afar_status status = check_user(rule, err);
    if (status != AFAR_OK)
        return status;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (!needs[i].wanted || needs[i].there)
            continue;
        if (missing[0] != '\0')
            (void)strncat(missing, ", ", sizeof missing - strlen(missing) - 1);
        (void)strncat(missing, needs[i].name, sizeof missing - strlen(missing) - 1);
    }
    if (missing[0] == '\0')
        return AFAR_OK;
    return afar_fail(
        err, AFAR_EINVAL,
        "its user, group, chroot, nice or limits need capabilities that this server does not have: "
        "%s; give them to it (--cap-add, CapabilityBoundingSet=), or change the rule",
        missing);
}
