#include "server/kept_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    SPARE_BYTES = 64 << 20, /* free space that the disk must have besides the spool */
    LOCK_MS = 2000,         /* wait for the previous server's lock to be released */
    WAIT_MS = 15000,        /* wait for another request that starts the same name */
    POLL_US = 20000
};

/* ---- opening --------------------------------------------------------------------------------- */

static enum afar_status make_folder(int at, const char *name, int *fd, struct afar_error *err)
{
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return afar_fail_errno(err, errno, "cannot make the folder '%s' (state_directory)", name);
    *fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return afar_fail_errno(err, errno, "cannot open the folder '%s' (state_directory)", name);
    struct stat info;
    if (fstat(*fd, &info) == 0 && info.st_uid == geteuid() && (info.st_mode & 077) == 0)
        return AFAR_OK;
    (void)close(*fd);
    *fd = -1;
    return afar_fail(err, AFAR_ESYSTEM,
                     "state_directory: the folder '%s' is another user's, or open to others: its "
                     "owner must be uid %u, its mode 0700",
                     name, (unsigned)geteuid());
}

/* Two servers on one folder would each treat the other's jobs as their own. A process that a killed
 * server had just cloned holds the lock's descriptor until its execve: wait for that. */
static enum afar_status lock_state(struct kept *kept, const char *path, struct afar_error *err)
{
    kept->lock_fd = openat(kept->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (kept->lock_fd < 0)
        return afar_fail_errno(err, errno, "cannot open '%s/lock'", path);
    const int64_t deadline_ms = clock_deadline_ms(LOCK_MS);
    int failed = flock(kept->lock_fd, LOCK_EX | LOCK_NB);
    while (failed != 0 && errno == EWOULDBLOCK && clock_now_ms() < deadline_ms) {
        (void)usleep(POLL_US);
        failed = flock(kept->lock_fd, LOCK_EX | LOCK_NB);
    }
    if (failed == 0)
        return AFAR_OK;
    if (errno == EWOULDBLOCK)
        return afar_fail(err, AFAR_ESYSTEM, "another afard has the state_directory '%s'", path);
    return afar_fail_errno(err, errno, "cannot lock '%s/lock'", path);
}

static enum afar_status load_secret(struct kept *kept, struct afar_error *err)
{
    int fd = openat(kept->state_fd, "secret", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot open 'secret' in the state_directory");
    enum afar_status status = AFAR_OK;
    const ssize_t whole = DIGEST_HEX_BYTES - 1;
    if (pread(fd, kept->secret, (size_t)whole, 0) != whole) {
        status = random_hex(kept->secret, (size_t)whole / 2, err);
        if (status == AFAR_OK && (pwrite(fd, kept->secret, (size_t)whole, 0) != whole ||
                                  fdatasync(fd) != 0 || fsync(kept->state_fd) != 0))
            status = afar_fail_errno(err, errno, "cannot write 'secret' in the state_directory");
    }
    kept->secret[whole] = '\0';
    (void)close(fd);
    return status;
}

void kept_set_limits(struct kept *kept, const struct config *config)
{
    if (kept == NULL)
        return;
    (void)pthread_mutex_lock(&kept->lock);
    kept->keep_max = config->keep_max;
    kept->keep_per_identity = config->keep_per_identity;
    kept->keep_bytes = config->keep_bytes;
    kept->keep_ms = config->keep_ms;
    kept->key_ms = config->key_ms;
    (void)pthread_mutex_unlock(&kept->lock);
}

enum afar_status kept_open(struct kept **kept, const struct config *config,
                           const struct kept_setup *setup, struct afar_error *err)
{
    *kept = NULL;
    const char *path = config->state_directory;
    if (path == NULL)
        return AFAR_OK;
    struct kept *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for kept jobs");
    made->state_fd = made->lock_fd = made->jobs_fd = -1;
    made->stop_at_ms = INT64_MAX;
    made->log = setup->log;
    made->audit = setup->audit;
    made->registry = setup->registry;
    made->program_fd = setup->program_fd;
    list_init(&made->entries);
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_mutex_init(&made->audit_lock, NULL);
    kept_set_limits(made, config);
    enum afar_status status = make_folder(AT_FDCWD, path, &made->state_fd, err);
    if (status == AFAR_OK)
        status = lock_state(made, path, err);
    if (status == AFAR_OK)
        status = load_secret(made, err);
    if (status == AFAR_OK)
        status = make_folder(made->state_fd, "jobs", &made->jobs_fd, err);
    if (status == AFAR_OK)
        status = kept_pick_up(made, err);
    if (status == AFAR_OK)
        status = kept_watch_start(made, err);
    if (status != AFAR_OK) {
        kept_free(made);
        return status;
    }
    size_t ended = 0;
    uint64_t bytes = 0;
    size_t live = kept_count(made, &ended, &bytes);
    if (live + ended > 0)
        log_write(made->log, LOG_LEVEL_INFO, "%zu kept jobs run, %zu have ended", live, ended);
    *kept = made;
    return AFAR_OK;
}

void kept_free(struct kept *kept)
{
    if (kept == NULL)
        return;
    kept_watch_end(kept);
    while (!list_empty(&kept->entries)) {
        struct kept_entry *entry = list_object(kept->entries.next, struct kept_entry, link);
        list_remove(&entry->link);
        kept_entry_free(kept, entry);
    }
    const int fds[] = {kept->jobs_fd, kept->lock_fd, kept->state_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
    (void)pthread_mutex_destroy(&kept->lock);
    (void)pthread_mutex_destroy(&kept->audit_lock);
    free(kept);
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct kept_entry *entry_at(struct list *link)
{
    return list_object(link, struct kept_entry, link);
}

struct kept_entry *kept_entry_locked(struct kept *kept, const char *job)
{
    for (struct list *link = kept->entries.next; link != &kept->entries; link = link->next) {
        struct kept_entry *entry = entry_at(link);
        if (entry->state != KEPT_STARTING && strcmp(entry->request.job, job) == 0)
            return entry;
    }
    return NULL;
}

static struct kept_entry *find_key_locked(struct kept *kept, const char *owner, const char *key)
{
    for (struct list *link = kept->entries.next; link != &kept->entries; link = link->next) {
        struct kept_entry *entry = entry_at(link);
        if (key[0] != '\0' && strcmp(entry->request.key, key) == 0 &&
            strcmp(entry->request.owner, owner) == 0)
            return entry;
    }
    return NULL;
}

/* A job whose key could not be read: it may be any. NULL: there is none. */
static const struct kept_entry *find_doubt_locked(struct kept *kept, const char *key)
{
    for (struct list *link = kept->entries.next; link != &kept->entries && key[0] != '\0';
         link = link->next) {
        const struct kept_entry *entry = entry_at(link);
        if (entry->unreadable && !entry->request.knows_key)
            return entry;
    }
    return NULL;
}

void kept_entry_free(struct kept *kept, struct kept_entry *entry)
{
    if (entry == NULL)
        return;
    registry_release(kept->registry, &entry->hold);
    free(entry);
}

size_t kept_count(struct kept *kept, size_t *ended, uint64_t *bytes)
{
    size_t count = 0;
    uint64_t live_bytes = 0;
    *ended = 0;
    *bytes = 0;
    if (kept == NULL)
        return 0;
    (void)pthread_mutex_lock(&kept->lock);
    for (struct list *link = kept->entries.next; link != &kept->entries; link = link->next) {
        const struct kept_entry *entry = entry_at(link);
        if (entry->unreadable)
            continue; /* nothing waits for its end */
        bool live = entry->state != KEPT_ENDED;
        count += live ? 1 : 0;
        *ended += live ? 0 : 1;
    }
    *bytes = kept_output_locked(kept, &live_bytes);
    (void)pthread_mutex_unlock(&kept->lock);
    return count;
}

void kept_stop(struct kept *kept, int64_t at_ms)
{
    if (kept == NULL)
        return;
    (void)pthread_mutex_lock(&kept->lock);
    if (at_ms < kept->stop_at_ms)
        kept->stop_at_ms = at_ms;
    (void)pthread_mutex_unlock(&kept->lock);
    kept_watch_wake(kept);
}

static void add_text(struct digest *digest, enum afar_status *status, const char *text)
{
    /* With its NUL. NULL is hashed as "\0\1", which no text is. */
    if (*status == AFAR_OK)
        *status = text != NULL ? digest_update(digest, text, strlen(text) + 1, NULL)
                               : digest_update(digest, "\0\1", 2, NULL);
}

static void add_words(struct digest *digest, enum afar_status *status, char *const *words)
{
    for (; words != NULL && *words != NULL; words++)
        add_text(digest, status, *words);
    add_text(digest, status, NULL);
}

/* Keyed inside and outside, as HMAC is. */
enum afar_status kept_describe(const struct kept *kept, const struct exec_request *request,
                               char asked[DIGEST_HEX_BYTES], struct afar_error *err)
{
    struct digest *digest = NULL;
    char inner[DIGEST_HEX_BYTES];
    enum afar_status status = digest_new(&digest, "sha256", err);
    if (status != AFAR_OK)
        return status;
    add_text(digest, &status, kept->secret);
    add_words(digest, &status, request->argv);
    add_text(digest, &status, request->shell);
    add_words(digest, &status, request->env);
    add_text(digest, &status, request->cwd);
    add_text(digest, &status, request->user);
    add_text(digest, &status, request->stdin_stream ? "stdin" : "");
    add_text(digest, &status, request->pty ? "pty" : "");
    add_text(digest, &status, request->home ? "home" : "");
    add_text(digest, &status, request->login ? "login" : "");
    add_text(digest, &status, request->shell_of_user ? "shell_of" : "");
    if (status == AFAR_OK)
        status = digest_finish(digest, inner, NULL);
    add_text(digest, &status, kept->secret);
    add_text(digest, &status, inner);
    if (status == AFAR_OK)
        status = digest_finish(digest, asked, NULL);
    digest_free(digest);
    return status == AFAR_OK ? AFAR_OK : afar_fail(err, status, "cannot hash a request");
}

/* The limit that leaves no place for another job of this owner; NULL: none does. */
static const char *full_locked(const struct kept *kept, const char *owner)
{
    if (kept_places_locked(kept, NULL) >= kept->keep_max)
        return "keep_max";
    return kept->keep_per_identity > 0 && kept_places_locked(kept, owner) >= kept->keep_per_identity
               ? "keep_per_identity"
               : NULL;
}

enum kept_claim kept_claim(struct kept *kept, const struct jobdir_request *request,
                           struct kept_entry **entry, const char **limit,
                           char doubt[MESSAGE_JOB_ID_BYTES])
{
    enum kept_claim claim = KEPT_FULL;
    uint64_t live_bytes = 0;
    struct kept_entry *made = calloc(1, sizeof *made);
    *entry = NULL;
    *limit = "keep_max";
    if (made == NULL)
        return claim;
    made->request = *request;
    made->state = KEPT_STARTING;
    memcpy(made->driver, request->holder, sizeof made->driver);
    (void)pthread_mutex_lock(&kept->lock);
    const struct kept_entry *known = find_key_locked(kept, request->owner, request->key);
    const struct kept_entry *unknown = find_doubt_locked(kept, request->key);
    if (known != NULL) {
        const bool same = strcmp(known->request.asked, request->asked) == 0;
        claim = same || known->unreadable ? KEPT_KNOWN : KEPT_OTHER;
    } else if (unknown != NULL) {
        claim = KEPT_DOUBT;
        memcpy(doubt, unknown->request.job, MESSAGE_JOB_ID_BYTES);
        atomic_store(&kept->looks_again, true);
    } else {
        (void)kept_output_locked(kept, &live_bytes);
        *limit = live_bytes >= kept->keep_bytes ? "keep_bytes" : full_locked(kept, request->owner);
        while (*limit != NULL && live_bytes < kept->keep_bytes &&
               kept_make_room_locked(kept, request->owner))
            *limit = full_locked(kept, request->owner);
        claim = *limit == NULL ? KEPT_FRESH : KEPT_FULL;
    }
    if (claim == KEPT_FRESH) {
        list_append(&kept->entries, &made->link);
        *entry = made;
        made = NULL;
    }
    (void)pthread_mutex_unlock(&kept->lock);
    if (atomic_load(&kept->makes_room) || claim == KEPT_DOUBT)
        kept_watch_wake(kept);
    free(made);
    return claim;
}

void kept_drop(struct kept *kept, struct kept_entry *entry)
{
    if (entry == NULL)
        return;
    (void)pthread_mutex_lock(&kept->lock);
    list_remove(&entry->link);
    (void)pthread_mutex_unlock(&kept->lock);
    kept_entry_free(kept, entry);
}

const struct jobdir_request *kept_request(const struct kept_entry *entry)
{
    return &entry->request;
}

bool kept_find(struct kept *kept, const char *owner, const char *id, const char *holder,
               char job[MESSAGE_JOB_ID_BYTES])
{
    bool found = false;
    if (kept == NULL)
        return false;
    (void)pthread_mutex_lock(&kept->lock);
    for (struct list *link = kept->entries.next; link != &kept->entries && !found;
         link = link->next) {
        const struct kept_entry *entry = entry_at(link);
        if (entry->state == KEPT_STARTING ||
            (owner != NULL && strcmp(entry->request.owner, owner) != 0))
            continue;
        found = id[0] != '\0' ? strcmp(entry->request.job, id) == 0
                              : holder[0] != '\0' && strcmp(entry->request.holder, holder) == 0;
        if (found)
            memcpy(job, entry->request.job, MESSAGE_JOB_ID_BYTES);
    }
    (void)pthread_mutex_unlock(&kept->lock);
    return found;
}

bool kept_take(struct kept *kept, const char *owner, const char *job, const char *key,
               const struct message_attach *attach)
{
    bool takes_over = false;
    (void)pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry =
        job[0] != '\0' ? kept_entry_locked(kept, job) : find_key_locked(kept, owner, key);
    if (entry != NULL && !attach->watch) {
        const bool free = entry->driver[0] == '\0';
        const bool same = strcmp(entry->driver, attach->holder) == 0;
        const bool others = strcmp(entry->request.owner, owner) != 0;
        takes_over = !attach->resume && !same && (!free || others);
        if (!attach->resume || free) /* else it is refused if it is not the same */
            memcpy(entry->driver, attach->holder, sizeof entry->driver);
    }
    (void)pthread_mutex_unlock(&kept->lock);
    return takes_over;
}

void kept_leave(struct kept *kept, const char *job, const char *holder)
{
    (void)pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry = kept_entry_locked(kept, job);
    if (entry != NULL && strcmp(entry->driver, holder) == 0)
        entry->driver[0] = '\0';
    (void)pthread_mutex_unlock(&kept->lock);
}

/* ---- in a companion -------------------------------------------------------------------------- */

static enum afar_status check_disk(const struct kept *kept, uint64_t spool_bytes,
                                   struct afar_error *err)
{
    struct statvfs info;
    if (fstatvfs(kept->jobs_fd, &info) != 0)
        return AFAR_OK;
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    if (free_bytes >= spool_bytes + SPARE_BYTES)
        return AFAR_OK;
    return afar_fail(err, AFAR_ELIMIT, "the disk of the server's state_directory is full");
}

enum afar_status kept_begin(struct kept *kept, struct kept_entry *entry,
                            struct jobdir_request *request, const struct keep_order *order,
                            int fence_fd, struct registry_entry *place, struct afar_error *err)
{
    kept_evict(kept);
    enum afar_status status = check_disk(kept, request->spool_bytes, err);
    if (status == AFAR_OK)
        status = keep_start(kept->jobs_fd, request, order, fence_fd, kept->program_fd, err);
    if (status != AFAR_OK) {
        kept_drop(kept, entry);
        return status;
    }
    (void)pthread_mutex_lock(&kept->lock);
    entry->request = *request;
    entry->state = KEPT_LIVE;
    if (!registry_pass(kept->registry, place, &entry->hold))
        log_write(kept->log, LOG_LEVEL_WARN, "kept job %s has no place: out of memory",
                  request->job);
    (void)pthread_mutex_unlock(&kept->lock);
    kept_watch_wake(kept);
    return AFAR_OK;
}

enum afar_status kept_wait(struct kept *kept, const char *owner, const char *key,
                           char job[MESSAGE_JOB_ID_BYTES], struct afar_error *err)
{
    int64_t deadline_ms = clock_deadline_ms(WAIT_MS);
    bool starting = true;
    job[0] = '\0';
    while (starting && job[0] == '\0') {
        (void)pthread_mutex_lock(&kept->lock);
        const struct kept_entry *entry = find_key_locked(kept, owner, key);
        starting = entry != NULL && entry->state == KEPT_STARTING;
        if (entry != NULL && !starting)
            memcpy(job, entry->request.job, MESSAGE_JOB_ID_BYTES);
        (void)pthread_mutex_unlock(&kept->lock);
        starting = starting && clock_now_ms() < deadline_ms;
        if (starting)
            (void)usleep(POLL_US);
    }
    if (job[0] != '\0')
        return AFAR_OK;
    return afar_fail(err, AFAR_EAGAIN, "another request with this name could not be started yet");
}

static void fill_job(const struct kept_entry *entry, const char *owner, uint64_t now_us,
                     struct message_job *job)
{
    const struct jobdir_request *request = &entry->request;
    *job = (struct message_job){
        .kept = true, .code = -1, .state = MESSAGE_JOB_RUNNING, .pty = request->pty};
    memcpy(job->job, request->job, sizeof job->job);
    memcpy(job->key, request->key, sizeof job->key);
    memcpy(job->command, request->command, sizeof job->command);
    if (owner == NULL)
        memcpy(job->owner, request->owner, sizeof request->owner);
    job->age_ms = now_us > request->created_us ? (now_us - request->created_us) / 1000 : 0;
    if (entry->unreadable)
        job->state = MESSAGE_JOB_UNREADABLE;
    if (entry->unreadable || entry->state != KEPT_ENDED)
        return;
    job->state = MESSAGE_JOB_ENDED;
    job->has_outcome = true;
    job->outcome = entry->outcome;
    job->code = entry->code;
    memcpy(job->signal, entry->signal, sizeof job->signal);
    memcpy(job->bytes, entry->bytes, sizeof job->bytes);
    job->ended_ms = now_us > entry->ended_us ? (now_us - entry->ended_us) / 1000 : 0;
    if (job->ended_ms == 0)
        job->ended_ms = 1; /* 0 means that it has not ended */
}

/* The job with the smallest id greater than `after`. Goes through all of them, a few thousand. */
static struct kept_entry *next_locked(struct kept *kept, const char *owner, const char *after)
{
    struct kept_entry *best = NULL;
    for (struct list *link = kept->entries.next; link != &kept->entries; link = link->next) {
        struct kept_entry *entry = entry_at(link);
        if (entry->state == KEPT_STARTING || strcmp(entry->request.job, after) <= 0 ||
            (owner != NULL && strcmp(entry->request.owner, owner) != 0))
            continue;
        if (best == NULL || strcmp(entry->request.job, best->request.job) < 0)
            best = entry;
    }
    return best;
}

bool kept_is_live(struct kept *kept, const char *job)
{
    (void)pthread_mutex_lock(&kept->lock);
    const struct kept_entry *entry = kept_entry_locked(kept, job);
    bool live = entry != NULL && entry->state != KEPT_ENDED;
    (void)pthread_mutex_unlock(&kept->lock);
    return live;
}

/* Finds the next job after `job`, and sets `job` to its id. False: there are no more. */
static bool list_next(struct kept *kept, const char *owner, bool all,
                      char job[MESSAGE_JOB_ID_BYTES], struct message_job *found)
{
    for (;;) {
        (void)pthread_mutex_lock(&kept->lock);
        struct kept_entry *entry = next_locked(kept, owner, job);
        bool live =
            entry != NULL && (entry->state == KEPT_LIVE || entry->by_word || entry->unreadable);
        if (entry != NULL)
            memcpy(job, entry->request.job, MESSAGE_JOB_ID_BYTES);
        (void)pthread_mutex_unlock(&kept->lock);
        if (entry == NULL)
            return false;
        if (live)
            (void)kept_look(kept, job);
        (void)pthread_mutex_lock(&kept->lock);
        entry = kept_entry_locked(kept, job);
        if (entry != NULL)
            fill_job(entry, owner, jobdir_now_us(), found);
        (void)pthread_mutex_unlock(&kept->lock);
        if (entry != NULL && (all || found->state == MESSAGE_JOB_RUNNING))
            return true;
    }
}

size_t kept_list(struct kept *kept, const char *owner, const char *after, bool all,
                 struct message_job *jobs, size_t room, bool *more)
{
    char job[MESSAGE_JOB_ID_BYTES];
    struct message_job found;
    size_t count = 0;
    *more = false;
    (void)snprintf(job, sizeof job, "%s", after);
    while (!*more && list_next(kept, owner, all, job, &found)) {
        *more = count == room;
        if (!*more)
            jobs[count++] = found;
    }
    kept_ask_all(kept, jobs, count);
    return count;
}
