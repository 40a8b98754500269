/* Finds out whether and how a kept job has ended. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <signal.h>

#include "exec/family.h"
#include "job/host.h"
#include "keep/spool.h"
#include "server/kept_internal.h"

enum { ROUNDS_MAX = 100 };

/* ---- what a dead keeper has left ------------------------------------------------------------- */

static bool propose_all(struct family *family)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    if (folder == NULL)
        return false;
    while ((entry = readdir(folder)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) != 0)
            family_propose(family, (pid_t)strtol(entry->d_name, NULL, 10), FAMILY_MARKED);
    }
    (void)closedir(folder);
    return true;
}

/* The command itself has died with its keeper (PDEATHSIG); kills what it had started. */
static void kill_rest(struct kept *kept, const char *job)
{
    char variable[sizeof JOB_VARIABLE + MESSAGE_JOB_ID_BYTES];
    (void)snprintf(variable, sizeof variable, JOB_VARIABLE "%s", job);
    const struct family_mark mark = {.session = 0, .variable = variable};
    struct family *family = family_new();
    size_t killed = 0;
    for (int round = 0; family != NULL && round < ROUNDS_MAX; round++) {
        family_begin_round(family);
        if (!propose_all(family))
            break;
        (void)family_walk(family, &mark, false, INT64_MAX);
        if (family_found(family) == 0)
            break;
        (void)family_signal(family, SIGKILL, INT64_MAX);
        killed += family_found(family);
    }
    if (killed > 0)
        log_write(kept->log, LOG_LEVEL_WARN,
                  "kept job %s: its keeper was killed; %zu processes that were left are ended", job,
                  killed);
    family_free(family);
}

/* Makes an end for a job whose keeper was killed: the output that is there, outcome server_lost. */
static void make_end(const char *boot, int folder_fd, const struct jobdir_request *request,
                     struct jobdir_end *end)
{
    struct spool *spool = NULL;
    const struct spool_limits limits = {.bytes = request->spool_bytes, .when_full = WHEN_FULL_CUT};
    uint64_t bytes[2] = {0, 0};
    *end = (struct jobdir_end){.ended_us = jobdir_now_us()};
    if (spool_open(&spool, folder_fd, &limits, NULL) == AFAR_OK) {
        end->seq = spool_end(spool);
        spool_bytes(spool, bytes);
    }
    spool_free(spool);
    end->receipt = (struct afar_receipt){.size = sizeof end->receipt,
                                         .outcome = AFAR_OUTCOME_SERVER_LOST,
                                         .code = -1,
                                         .stdout_bytes = bytes[0],
                                         .stderr_bytes = bytes[1]};
    /* Who had it last is not known, so end->holder is empty: whoever comes back first has it. */
    const bool booted = strcmp(boot, request->boot) != 0;
    (void)snprintf(end->receipt.message, sizeof end->receipt.message, "%s",
                   booted ? (jobdir_has_begun(folder_fd)
                                 ? "the machine was started anew while it ran"
                                 : "the machine was started anew: whether it ran is unknown")
                          : "its keeper was killed: how it ended is unknown");
}

bool kept_is_gone(const struct kept *kept, const char *job)
{
    return faccessat(kept->jobs_fd, job, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

enum kept_fate kept_settle(struct kept *kept, const char *job, int folder_fd,
                           const struct jobdir_request *request, struct jobdir_end *end)
{
    struct afar_error err = {0};
    char boot[JOBDIR_BOOT_BYTES];
    int lock_fd = -1;
    enum afar_status status = jobdir_read_end(folder_fd, end, &err);
    if (status == AFAR_OK)
        return KEPT_HAS_ENDED;
    if (status == AFAR_EAGAIN)
        status = jobdir_lock(folder_fd, &lock_fd, &err);
    if (status == AFAR_EAGAIN)
        return KEPT_IS_LIVE;
    if (status == AFAR_OK) /* it may have ended between the two looks */
        status = jobdir_read_end(folder_fd, end, &err);
    enum kept_fate fate = status == AFAR_OK ? KEPT_HAS_ENDED : KEPT_UNREADABLE;
    /* A folder is hidden before anything in it is removed, so this one may be half empty. */
    if (status != AFAR_OK && kept_is_gone(kept, job)) {
        fate = KEPT_IS_GONE;
        status = AFAR_OK;
    }
    if (status == AFAR_EAGAIN) {
        jobdir_boot(boot);
        if (!jobdir_has_begun(folder_fd) && strcmp(boot, request->boot) == 0) {
            fate = KEPT_NEVER_RAN;
            status = jobdir_remove(kept->jobs_fd, job, &err);
        } else {
            kill_rest(kept, job);
            make_end(boot, folder_fd, request, end);
            fate = KEPT_HAS_ENDED;
            status = jobdir_write_end(folder_fd, end, &err);
            log_write(kept->log, LOG_LEVEL_WARN, "kept job %s: server_lost: %s", job,
                      end->receipt.message);
        }
    }
    if (lock_fd >= 0)
        (void)close(lock_fd);
    if (status != AFAR_OK)
        log_write(kept->log, LOG_LEVEL_WARN, "kept job %s: %s", job, err.message);
    return fate;
}

void kept_note_end(struct kept *kept, struct kept_entry *entry, const struct jobdir_end *end)
{
    entry->measured = entry->measured && entry->state == KEPT_ENDED;
    entry->state = KEPT_ENDED;
    entry->by_word = false;
    registry_release(kept->registry, &entry->hold);
    entry->outcome = end->receipt.outcome;
    entry->code = end->receipt.code;
    memcpy(entry->signal, end->receipt.signal, sizeof entry->signal);
    entry->bytes[0] = end->receipt.stdout_bytes;
    entry->bytes[1] = end->receipt.stderr_bytes;
    entry->ended_us = end->ended_us;
}

void kept_hear_end(struct kept *kept, const char *job, const struct afar_receipt *receipt)
{
    const struct jobdir_end end = {.receipt = *receipt, .ended_us = jobdir_now_us()};
    (void)pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry = kept_entry_locked(kept, job);
    if (entry != NULL && entry->state == KEPT_LIVE) {
        kept_note_end(kept, entry, &end);
        entry->by_word = true; /* the audit log still needs it: the watch looks */
    }
    (void)pthread_mutex_unlock(&kept->lock);
}

/* The mark is made after the line: a crash between them writes the line twice, not never. */
static void audit_end(struct kept *kept, int folder_fd, const struct jobdir_request *request,
                      const struct jobdir_end *end)
{
    static const char mark[] = "audited";
    struct afar_error err = {0};
    const bool recorded = end->recording.path[0] != '\0';
    const bool whole = end->recording.why[0] == '\0';
    const bool hashed = end->recording.sha256[0] != '\0';
    const struct audit_record record = {.event = "end",
                                        .job = request->job,
                                        .identity = request->identity,
                                        .owner = request->owner,
                                        .receipt = &end->receipt,
                                        .recording = recorded ? end->recording.path : NULL,
                                        .record_bytes = end->recording.bytes,
                                        .record_sha256 = hashed ? end->recording.sha256 : NULL,
                                        .record_error = whole ? NULL : end->recording.why};
    if (kept->audit == NULL || faccessat(folder_fd, mark, F_OK, 0) == 0)
        return;
    if (audit_write(kept->audit, &record, &err) != AFAR_OK) {
        log_write(kept->log, LOG_LEVEL_ERROR, "the end of kept job %s is not in the audit log: %s",
                  request->job, err.message);
        return;
    }
    int fd = openat(folder_fd, mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        (void)close(fd);
}

void kept_audit_end(struct kept *kept, int folder_fd, const struct jobdir_request *request,
                    const struct jobdir_end *end)
{
    (void)pthread_mutex_lock(&kept->audit_lock);
    audit_end(kept, folder_fd, request, end);
    (void)pthread_mutex_unlock(&kept->audit_lock);
}

/* With the lock held. Returns the entry if it is not one any more, to be freed. */
static struct kept_entry *enter_locked(struct kept *kept, struct kept_entry *entry,
                                       enum kept_fate fate, const struct jobdir_request *request,
                                       const struct jobdir_end *end)
{
    const bool readable = fate == KEPT_IS_LIVE || fate == KEPT_HAS_ENDED;
    if (fate == KEPT_NEVER_RAN || fate == KEPT_IS_GONE) {
        list_remove(&entry->link);
        return entry;
    }
    if (entry->unreadable && readable)
        entry->request = *request;
    entry->unreadable = !readable;
    const char *rule = entry->request.rule[0] != '\0' ? entry->request.rule : NULL;
    if (fate == KEPT_HAS_ENDED)
        kept_note_end(kept, entry, end);
    else if (fate == KEPT_IS_LIVE && entry->state == KEPT_LIVE && entry->hold.identity == NULL &&
             !registry_hold(kept->registry, &entry->hold, entry->request.owner, rule))
        log_write(kept->log, LOG_LEVEL_WARN, "kept job %s has no place: out of memory",
                  entry->request.job);
    return NULL;
}

/* Reads a job's folder, and writes its end to the audit log. */
static enum kept_fate read_job(struct kept *kept, const char *job, struct jobdir_request *request,
                               struct jobdir_end *end, struct afar_error *err)
{
    enum kept_fate fate = KEPT_UNREADABLE;
    int fd = -1;
    *request = (struct jobdir_request){0};
    enum afar_status status = jobdir_open(kept->jobs_fd, job, &fd, err);
    if (status == AFAR_OK)
        status = jobdir_read_request(fd, request, err);
    if (status == AFAR_OK && strcmp(request->job, job) != 0)
        status = afar_fail(err, AFAR_EPEER, "the folder is not that job's");
    if (status == AFAR_OK)
        fate = kept_settle(kept, job, fd, request, end);
    else if (kept_is_gone(kept, job))
        fate = KEPT_IS_GONE;
    if (fate == KEPT_HAS_ENDED)
        kept_audit_end(kept, fd, request, end);
    if (fd >= 0)
        (void)close(fd);
    return fate;
}

enum kept_fate kept_look(struct kept *kept, const char *job)
{
    struct jobdir_request request;
    struct jobdir_end end;
    const enum kept_fate fate = read_job(kept, job, &request, &end, NULL);
    (void)pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry = kept_entry_locked(kept, job);
    if (entry != NULL)
        entry = enter_locked(kept, entry, fate, &request, &end);
    (void)pthread_mutex_unlock(&kept->lock);
    kept_entry_free(kept, entry);
    return fate;
}

/* ---- at the start ---------------------------------------------------------------------------- */

/* Anything else in the folder is none of ours. */
static bool is_job(const struct kept *kept, const char *name)
{
    struct stat info;
    const size_t length = strlen(name);
    return length < MESSAGE_JOB_ID_BYTES && strspn(name, "0123456789abcdef") == length &&
           fstatat(kept->jobs_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode) &&
           info.st_uid == geteuid();
}

/* Enters the job of one folder, which a previous server has started. */
static enum afar_status pick_up(struct kept *kept, const char *name, struct afar_error *err)
{
    struct afar_error why = {.message = "its end cannot be read"};
    struct jobdir_end end;
    if (!is_job(kept, name)) {
        log_write(kept->log, LOG_LEVEL_WARN,
                  "'%.40s' is left alone: it is not the folder of a kept job", name);
        return AFAR_OK;
    }
    struct kept_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a kept job");
    const enum kept_fate fate = read_job(kept, name, &entry->request, &end, &why);
    if (fate == KEPT_UNREADABLE) {
        (void)snprintf(entry->request.job, sizeof entry->request.job, "%s", name);
        log_write(kept->log, LOG_LEVEL_WARN, "kept job '%s' is left alone: %s%s", name, why.message,
                  entry->request.knows_key
                      ? ""
                      : "; its key is not known, so nothing is begun by a key while it is there");
    }
    entry->state = KEPT_LIVE;
    (void)pthread_mutex_lock(&kept->lock);
    list_append(&kept->entries, &entry->link);
    entry = enter_locked(kept, entry, fate, &entry->request, &end);
    (void)pthread_mutex_unlock(&kept->lock);
    kept_entry_free(kept, entry);
    return AFAR_OK;
}

enum afar_status kept_pick_up(struct kept *kept, struct afar_error *err)
{
    int fd = openat(kept->jobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        int failed = errno;
        if (fd >= 0)
            (void)close(fd);
        return afar_fail_errno(err, failed, "cannot list the kept jobs");
    }
    enum afar_status status = AFAR_OK;
    const struct dirent *entry;
    while (status == AFAR_OK && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, ".new-", 5) == 0) /* never begun, or half removed */
            (void)jobdir_remove(kept->jobs_fd, entry->d_name, NULL);
        else if (entry->d_name[0] != '.')
            status = pick_up(kept, entry->d_name, err);
    }
    (void)closedir(folder);
    return status;
}
