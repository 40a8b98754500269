#include "policy/rule_record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/trusted.h"

enum { SHOWN_BYTES = 80 };

static enum afar_status fail_again(struct afar_error *err)
{
    return afar_fail(err, AFAR_EINVAL, "given already in this rule");
}

enum afar_status rule_record_set(struct rule *rule, const char *value, struct afar_error *err)
{
    if (rule->record != NULL)
        return fail_again(err);
    if (value[0] != '/')
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not an absolute path", SHOWN_BYTES, value);
    rule->record = strdup(value);
    return rule->record != NULL ? AFAR_OK : afar_fail(err, AFAR_ENOMEM, "out of memory for a rule");
}

enum afar_status rule_record_set_full(struct rule *rule, const char *value, struct afar_error *err)
{
    if (rule->record_full_set)
        return fail_again(err);
    rule->record_full_set = true;
    rule->record_go_on = strcasecmp(value, "go_on") == 0;
    if (!rule->record_go_on && strcasecmp(value, "end") != 0)
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is neither end nor go_on", SHOWN_BYTES, value);
    return AFAR_OK;
}

/* The rule's commands must not be able to write there. If they run as the server's own user, this
 * cannot be prevented here. */
static enum afar_status check_folder(const struct rule *rule, struct afar_error *err)
{
    struct stat info;
    int fd = open(rule->record, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return afar_fail_errno(err, errno, "record: '%.*s'", SHOWN_BYTES, rule->record);
    enum afar_status status = trusted_check(fd, rule->record, err);
    if (status == AFAR_OK && rule->user.name != NULL && rule->user.uid != 0 &&
        fstat(fd, &info) == 0 && info.st_uid == rule->user.uid)
        status = afar_fail(err, AFAR_EINVAL, "record: '%.*s' belongs to the rule's own user",
                           SHOWN_BYTES, rule->record);
    (void)close(fd);
    return status;
}

enum afar_status rule_record_check(const struct rule *rule, struct afar_error *err)
{
    if (rule->record == NULL && (rule->record_max.set || rule->record_full_set))
        return afar_fail(err, AFAR_EINVAL, "record_max and record_full need record = DIRECTORY");
    if (rule->record == NULL)
        return AFAR_OK;
    if (rule->pty == RULE_PTY_NO)
        return afar_fail(err, AFAR_EINVAL, "record and pty = no: there is nothing to record");
    if ((rule->may & POLICY_FILES) != 0)
        return afar_fail(err, AFAR_EINVAL,
                         "record and may = files: what is done to files is not recorded (the audit "
                         "log has it: audit_files)");
    return check_folder(rule, err);
}
