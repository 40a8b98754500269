#include "exec/fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/path.h"

/* From <linux/landlock.h>, which some systems that we build on do not have. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };

struct ruleset_attr {
    uint64_t handled_access_fs;
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

/* Executing (bit 0) and listing (bit 3) are not handled: they would have to be allowed for folders
 * on the way, and that would allow them for everything below, too. */
#define WRITE_FILE (UINT64_C(1) << 1)
#define READ_FILE (UINT64_C(1) << 2)
#define REMOVE_AND_MAKE (UINT64_C(0x1FF) << 4) /* REMOVE_DIR (4) to MAKE_SYM (12) */
#define REFER (UINT64_C(1) << 13)              /* Landlock denies it unless it is allowed */
#define TRUNCATE (UINT64_C(1) << 14)
#define OF_FILES (READ_FILE | WRITE_FILE | TRUNCATE)
#define OF_FOLDERS (OF_FILES | REMOVE_AND_MAKE | REFER)

/* A folder on the way, as it was when its entries were listed. */
struct step {
    char *path; /* owned; "" is the root */
    struct stat seen;
};

struct fence {
    atomic_uint references;
    char **folders;       /* owned, NULL-terminated */
    char **readable;      /* likewise; can be read, but not changed */
    pthread_mutex_t lock; /* guards all of the following */
    int fd;
    bool again; /* make a new list next time: a change may have gone unnoticed */
    unsigned rules;
    size_t step_count;
    struct step steps[FENCE_FOLDERS_MAX];
};

int fence_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

/* Sanitizers keep state per thread, and the child shares that of a thread of the server. */
__attribute__((no_sanitize("address", "undefined", "thread"))) long fence_enter(int fd)
{
    if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        return -1;
    return syscall(SYS_landlock_restrict_self, fd, 0U);
}

/* ---- the folders on the way ------------------------------------------------------------------ */

static bool is_within_one(const char *path, char *const *folders)
{
    for (; *folders != NULL; folders++) {
        if (path_is_within(path, *folders))
            return true;
    }
    return false;
}

static bool is_protected(const struct fence *fence, const char *path)
{
    return is_within_one(path, fence->folders) || is_within_one(path, fence->readable);
}

static bool is_step(const struct fence *fence, const char *path)
{
    for (size_t i = 0; i < fence->step_count; i++) {
        if (strcmp(fence->steps[i].path, path) == 0)
            return true;
    }
    return false;
}

static enum afar_status fail_memory(struct afar_error *err)
{
    return afar_fail(err, AFAR_ENOMEM, "out of memory for a fence");
}

static enum afar_status add_step(struct fence *fence, const char *path, size_t size,
                                 struct afar_error *err)
{
    char *copy = strndup(path, size);
    if (copy == NULL)
        return fail_memory(err);
    if (is_step(fence, copy) || is_protected(fence, copy)) {
        free(copy);
        return AFAR_OK;
    }
    if (fence->step_count == FENCE_FOLDERS_MAX) {
        free(copy);
        return afar_fail(err, AFAR_ELIMIT, "more than %d folders lie on the way to %.200s",
                         FENCE_FOLDERS_MAX, path);
    }
    fence->steps[fence->step_count++].path = copy;
    return AFAR_OK;
}

static enum afar_status find_steps(struct fence *fence, char *const *folders,
                                   struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    for (char *const *folder = folders; *folder != NULL; folder++) {
        for (const char *at = *folder; *at != '\0' && status == AFAR_OK; at++) {
            if (*at == '/')
                status = add_step(fence, *folder, (size_t)(at - *folder), err);
        }
    }
    return status;
}

/* ---- the entries beside them ----------------------------------------------------------------- */

/* Allows `access` to a file or folder and everything below it. AFAR_OK also if it does not exist
 * any more. */
static enum afar_status allow(int ruleset, int folder, const char *name, uint64_t access,
                              struct afar_error *err)
{
    struct stat info;
    int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == EACCES))
        return AFAR_OK;
    if (fd < 0 || fstat(fd, &info) != 0) {
        int failed = errno;
        if (fd >= 0)
            (void)close(fd);
        return afar_fail_errno(err, failed, "cannot examine '%.100s'", name);
    }
    const struct path_beneath_attr rule = {
        .allowed_access = S_ISDIR(info.st_mode) ? access : access & OF_FILES, .parent_fd = fd};
    long result = 0;
    if (!S_ISLNK(info.st_mode)) /* a link's target has a rule of its own, or is denied */
        result = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0U);
    int failed = errno;
    (void)close(fd);
    if (result != 0 && failed != EBADFD) /* EBADFD: a kernel-internal file system; no rule needed */
        return afar_fail_errno(err, failed, "cannot allow '%.100s'", name);
    return AFAR_OK;
}

static enum afar_status allow_beside(struct fence *fence, int ruleset, const struct step *step,
                                     DIR *folder, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    for (;;) {
        char *path = NULL;
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL && errno != 0)
            return afar_fail_errno(err, errno, "cannot list '%.200s/'", step->path);
        if (entry == NULL)
            return AFAR_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fence->rules++ >= FENCE_RULES_MAX)
            return afar_fail(err, AFAR_ELIMIT, "there are more than %d files beside '%.200s/'",
                             FENCE_RULES_MAX, step->path);
        if (asprintf(&path, "%s/%s", step->path, entry->d_name) < 0)
            return fail_memory(err);
        if (!is_step(fence, path) && !is_protected(fence, path))
            status = allow(ruleset, dirfd(folder), entry->d_name, OF_FOLDERS, err);
        free(path);
        if (status != AFAR_OK)
            return status;
    }
}

/* Whether the folder was changed so recently that another change may get the same ctime, as the
 * file system's clock is coarse. */
static bool is_recent(const struct stat *info)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - info->st_ctim.tv_sec <= 1;
}

static enum afar_status list_step(struct fence *fence, int ruleset, struct step *step,
                                  struct afar_error *err)
{
    const char *path = step->path[0] == '\0' ? "/" : step->path;
    DIR *folder = opendir(path);
    if (folder == NULL || fstat(dirfd(folder), &step->seen) != 0) {
        int failed = errno;
        if (folder != NULL)
            (void)closedir(folder);
        return afar_fail_errno(err, failed, "cannot list '%.200s'", path);
    }
    fence->again = fence->again || is_recent(&step->seen);
    enum afar_status status = allow_beside(fence, ruleset, step, folder, err);
    (void)closedir(folder);
    return status;
}

static enum afar_status build_locked(struct fence *fence, struct afar_error *err)
{
    const struct ruleset_attr attr = {.handled_access_fs = OF_FOLDERS};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0U);
    if (ruleset < 0)
        return afar_fail_errno(err, errno, "Landlock");
    enum afar_status status = AFAR_OK;
    fence->again = false;
    fence->rules = 0;
    for (size_t i = 0; i < fence->step_count && status == AFAR_OK; i++)
        status = list_step(fence, ruleset, &fence->steps[i], err);
    for (char **folder = fence->readable; *folder != NULL && status == AFAR_OK; folder++)
        status = allow(ruleset, AT_FDCWD, *folder, READ_FILE, err);
    if (status != AFAR_OK) {
        fence->again = true;
        (void)close(ruleset);
        return status;
    }
    if (fence->fd >= 0)
        (void)close(fence->fd);
    fence->fd = ruleset; /* landlock_create_ruleset(2) makes it close-on-exec */
    return AFAR_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum afar_status copy_folders(char ***copies, char *const *folders, struct afar_error *err)
{
    size_t count = 0;
    while (folders != NULL && folders[count] != NULL)
        count++;
    char **made = calloc(count + 1, sizeof *made);
    *copies = made;
    for (size_t i = 0; made != NULL && i < count; i++) {
        made[i] = strdup(folders[i]);
        if (made[i] == NULL)
            return fail_memory(err);
    }
    return made != NULL ? AFAR_OK : fail_memory(err);
}

static void free_folders(char **folders)
{
    for (char **folder = folders; folder != NULL && *folder != NULL; folder++)
        free(*folder);
    free(folders);
}

enum afar_status fence_new(struct fence **fence, char *const *folders, char *const *readable,
                           struct afar_error *err)
{
    *fence = NULL;
    struct fence *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail_memory(err);
    atomic_init(&made->references, 1);
    (void)pthread_mutex_init(&made->lock, NULL);
    made->fd = -1;
    enum afar_status status = copy_folders(&made->folders, folders, err);
    if (status == AFAR_OK)
        status = copy_folders(&made->readable, readable, err);
    if (status == AFAR_OK)
        status = find_steps(made, made->folders, err);
    if (status == AFAR_OK)
        status = find_steps(made, made->readable, err);
    if (status == AFAR_OK) {
        (void)pthread_mutex_lock(&made->lock);
        status = build_locked(made, err);
        (void)pthread_mutex_unlock(&made->lock);
    }
    if (status != AFAR_OK) {
        fence_free(made);
        return status;
    }
    *fence = made;
    return AFAR_OK;
}

struct fence *fence_keep(struct fence *fence)
{
    if (fence != NULL)
        (void)atomic_fetch_add(&fence->references, 1);
    return fence;
}

void fence_free(struct fence *fence)
{
    if (fence == NULL || atomic_fetch_sub(&fence->references, 1) != 1)
        return;
    free_folders(fence->folders);
    free_folders(fence->readable);
    for (size_t i = 0; i < fence->step_count; i++)
        free(fence->steps[i].path);
    if (fence->fd >= 0)
        (void)close(fence->fd);
    (void)pthread_mutex_destroy(&fence->lock);
    free(fence);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_stale_locked(const struct fence *fence)
{
    for (size_t i = 0; i < fence->step_count; i++) {
        const struct step *step = &fence->steps[i];
        struct stat now;
        if (stat(step->path[0] == '\0' ? "/" : step->path, &now) != 0 ||
            now.st_dev != step->seen.st_dev || now.st_ino != step->seen.st_ino ||
            !same_time(&now.st_ctim, &step->seen.st_ctim))
            return true;
    }
    return fence->again;
}

enum afar_status fence_take(struct fence *fence, int *fd, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    *fd = -1;
    (void)pthread_mutex_lock(&fence->lock);
    if (is_stale_locked(fence))
        status = build_locked(fence, err);
    /* A copy, as another thread may replace the list before the child has used it. */
    if (status == AFAR_OK) {
        *fd = fcntl(fence->fd, F_DUPFD_CLOEXEC, 3);
        if (*fd < 0)
            status = afar_fail_errno(err, errno, "cannot copy a descriptor");
    }
    (void)pthread_mutex_unlock(&fence->lock);
    return status;
}
