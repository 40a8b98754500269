#include "keep/jobdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "keep/jobdir_text.h"

enum { BACKLOG = 32, REMOVE_TRIES = 10 };

static const char socket_name[] = "sock";
static const char new_prefix[] = ".new-";
static const char output_prefix[] = "out.";

uint64_t jobdir_now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void jobdir_boot(char boot[JOBDIR_BOOT_BYTES])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, boot, JOBDIR_BOOT_BYTES - 1) : 0;
    if (fd >= 0)
        (void)close(fd);
    boot[size > 0 ? size : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void jobdir_made_close(struct jobdir_made *made)
{
    close_one(&made->folder_fd);
    close_one(&made->lock_fd);
    close_one(&made->listener_fd);
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum afar_status write_whole(int fd, const void *data, size_t size, const char *name,
                                    struct afar_error *err)
{
    const char *at = data;
    for (size_t done = 0; done < size;) {
        ssize_t written = pwrite(fd, at + done, size - done, (off_t)done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return afar_fail_errno(err, written < 0 ? errno : ENOSPC,
                                   "cannot write '%s' in a job's folder", name);
        done += (size_t)written;
    }
    return AFAR_OK;
}

static int open_new(int folder_fd, const char *name)
{
    return openat(folder_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
}

static enum afar_status put_file(int folder_fd, const char *name, const void *data, size_t size,
                                 struct afar_error *err)
{
    int fd = open_new(folder_fd, name);
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot make '%s' in a job's folder", name);
    enum afar_status status = write_whole(fd, data, size, name, err);
    if (status == AFAR_OK && fdatasync(fd) != 0)
        status = afar_fail_errno(err, errno, "cannot bring '%s' to the disk", name);
    (void)close(fd);
    return status;
}

/* Reads the whole file and adds a NUL. AFAR_EAGAIN: it does not exist. */
static enum afar_status get_file(int folder_fd, const char *name, char *text, size_t room,
                                 size_t *size, struct afar_error *err)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return afar_fail(err, AFAR_EAGAIN, "there is no '%s' in a job's folder", name);
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot open '%s' in a job's folder", name);
    ssize_t got = 0;
    *size = 0;
    do {
        got = read(fd, text + *size, room - 1 - *size);
        *size += got > 0 ? (size_t)got : 0;
    } while ((got < 0 && errno == EINTR) || (got > 0 && *size < room - 1));
    int failed = errno;
    (void)close(fd);
    text[*size] = '\0';
    return got < 0 ? afar_fail_errno(err, failed, "cannot read '%s' in a job's folder", name)
                   : AFAR_OK;
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* So that the receipt has space even if the disk is full later. */
static enum afar_status reserve_receipt(int folder_fd, struct afar_error *err)
{
    int fd = open_new(folder_fd, "receipt.new");
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot make 'receipt.new' in a job's folder");
    int failed = posix_fallocate(fd, 0, JOBDIR_FILE_BYTES);
    (void)close(fd);
    return failed == 0 || failed == EOPNOTSUPP
               ? AFAR_OK
               : afar_fail_errno(err, failed, "no room for a receipt");
}

static enum afar_status fill(struct jobdir_request *request, struct jobdir_made *made,
                             struct afar_error *err)
{
    char text[JOBDIR_FILE_BYTES];
    char token[JOBDIR_TOKEN_BYTES];
    jobdir_boot(request->boot);
    enum afar_status status = jobdir_lock(made->folder_fd, &made->lock_fd, err);
    if (status == AFAR_OK)
        status = random_hex(token, (JOBDIR_TOKEN_BYTES - 1) / 2, err);
    if (status == AFAR_OK)
        status = put_file(made->folder_fd, "token", token, strlen(token), err);
    if (status == AFAR_OK)
        status = jobdir_text_request(text, sizeof text, request, err);
    if (status == AFAR_OK)
        status = reserve_receipt(made->folder_fd, err);
    if (status == AFAR_OK)
        status = jobdir_listen(made->folder_fd, &made->listener_fd, err);
    if (status == AFAR_OK)
        status = put_file(made->folder_fd, "request", text, strlen(text), err);
    if (status == AFAR_OK && fsync(made->folder_fd) != 0)
        status = afar_fail_errno(err, errno, "cannot bring a job's folder to the disk");
    return status;
}

enum afar_status jobdir_make(int jobs_fd, struct jobdir_request *request, struct jobdir_made *made,
                             struct afar_error *err)
{
    char name[sizeof new_prefix + MESSAGE_JOB_ID_BYTES];
    *made = (struct jobdir_made){.folder_fd = -1, .lock_fd = -1, .listener_fd = -1};
    (void)snprintf(name, sizeof name, "%s%s", new_prefix, request->job);
    if (mkdirat(jobs_fd, name, 0700) != 0)
        return afar_fail_errno(err, errno, "cannot make a folder for a kept job");
    enum afar_status status = jobdir_open(jobs_fd, name, &made->folder_fd, err);
    if (status == AFAR_OK)
        status = fill(request, made, err);
    if (status == AFAR_OK &&
        (renameat(jobs_fd, name, jobs_fd, request->job) != 0 || fsync(jobs_fd) != 0)) {
        status = afar_fail_errno(err, errno, "cannot name the folder of a kept job");
        (void)renameat(jobs_fd, request->job, jobs_fd, name);
    }
    if (status != AFAR_OK) {
        jobdir_made_close(made);
        (void)jobdir_remove(jobs_fd, name, NULL);
    }
    return status;
}

enum afar_status jobdir_open(int jobs_fd, const char *name, int *fd, struct afar_error *err)
{
    struct stat info;
    *fd = openat(jobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return afar_fail_errno(err, errno, "cannot open the folder of job %s", name);
    if (fstat(*fd, &info) == 0 && info.st_uid == geteuid() && (info.st_mode & 077) == 0)
        return AFAR_OK;
    close_one(fd);
    return afar_fail(err, AFAR_EREFUSED,
                     "the folder of job %s is another user's, or open to others", name);
}

/* 0: the folder is gone, with all that is in it. Else an errno. */
static int remove_folder(int jobs_fd, const char *name)
{
    int fd = openat(jobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    if (fd >= 0 && folder == NULL)
        (void)close(fd);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder != NULL)
        (void)closedir(folder);
    return unlinkat(jobs_fd, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

enum afar_status jobdir_remove(int jobs_fd, const char *name, struct afar_error *err)
{
    char hidden[sizeof new_prefix + MESSAGE_JOB_ID_BYTES];
    const char *at = name;
    if (name[0] != '.') { /* it is not a job any more, even if removing fails */
        (void)snprintf(hidden, sizeof hidden, "%s%.32s", new_prefix, name);
        if (renameat(jobs_fd, name, jobs_fd, hidden) != 0)
            return afar_fail_errno(err, errno, "cannot remove the folder of job %s", name);
        at = hidden;
    }
    /* A keeper that is about to end may still create files there. */
    int failed = ENOTEMPTY;
    for (int i = 0; i < REMOVE_TRIES && failed == ENOTEMPTY; i++)
        failed = remove_folder(jobs_fd, at);
    return failed == 0 ? AFAR_OK
                       : afar_fail_errno(err, failed, "cannot remove the folder of job %s", name);
}

/* Calls `take` for each file of the output. */
static void each_output(int fd, void (*take)(int fd, const char *name, uint64_t *sum),
                        uint64_t *sum)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again >= 0 ? fdopendir(again) : NULL;
    const struct dirent *entry;
    if (again >= 0 && folder == NULL)
        (void)close(again);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, output_prefix, sizeof output_prefix - 1) == 0)
            take(fd, entry->d_name, sum);
    }
    if (folder != NULL)
        (void)closedir(folder);
}

static void add_size(int fd, const char *name, uint64_t *sum)
{
    struct stat info;
    if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        *sum += (uint64_t)info.st_size;
}

static void remove_one(int fd, const char *name, uint64_t *sum)
{
    (void)sum;
    (void)unlinkat(fd, name, 0);
}

uint64_t jobdir_output_bytes(int fd)
{
    uint64_t bytes = 0;
    each_output(fd, add_size, &bytes);
    return bytes;
}

void jobdir_remove_output(int fd)
{
    each_output(fd, remove_one, NULL);
}

/* ---- what is in it --------------------------------------------------------------------------- */

enum afar_status jobdir_read_request(int fd, struct jobdir_request *request, struct afar_error *err)
{
    char text[JOBDIR_FILE_BYTES];
    size_t size = 0;
    *request = (struct jobdir_request){0};
    enum afar_status status = get_file(fd, "request", text, sizeof text, &size, err);
    if (status == AFAR_EAGAIN)
        return afar_fail(err, AFAR_EPEER, "a job's folder has no request");
    return status == AFAR_OK ? jobdir_parse_request(text, request, err) : status;
}

enum afar_status jobdir_read_token(int fd, char token[JOBDIR_TOKEN_BYTES], struct afar_error *err)
{
    size_t size = 0;
    enum afar_status status = get_file(fd, "token", token, JOBDIR_TOKEN_BYTES, &size, err);
    if (status == AFAR_EAGAIN || (status == AFAR_OK && size != JOBDIR_TOKEN_BYTES - 1))
        return afar_fail(err, AFAR_EPEER, "a job's folder has no token");
    return status;
}

enum afar_status jobdir_lock(int fd, int *lock_fd, struct afar_error *err)
{
    *lock_fd = open_new(fd, "lock");
    if (*lock_fd < 0)
        return afar_fail_errno(err, errno, "cannot open 'lock' in a job's folder");
    if (flock(*lock_fd, LOCK_EX | LOCK_NB) == 0)
        return AFAR_OK;
    int failed = errno;
    close_one(lock_fd);
    return failed == EWOULDBLOCK ? afar_fail(err, AFAR_EAGAIN, "its keeper is running")
                                 : afar_fail_errno(err, failed, "cannot lock a job's folder");
}

enum afar_status jobdir_begin(int fd, struct afar_error *err)
{
    return put_file(fd, "begun", "", 0, err);
}

bool jobdir_has_begun(int fd)
{
    /* If that cannot be known, assume that it has begun: it must not be started twice. */
    return faccessat(fd, "begun", F_OK, 0) == 0 || errno != ENOENT;
}

enum afar_status jobdir_write_end(int folder_fd, const struct jobdir_end *end,
                                  struct afar_error *err)
{
    char text[JOBDIR_FILE_BYTES];
    size_t size = 0;
    enum afar_status status = jobdir_text_end(text, sizeof text, end, &size, err);
    if (status != AFAR_OK)
        return status;
    int fd = open_new(folder_fd, "receipt.new");
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot open 'receipt.new' in a job's folder");
    status = write_whole(fd, text, size, "receipt.new", err);
    if (status == AFAR_OK && (ftruncate(fd, (off_t)size) != 0 || fdatasync(fd) != 0))
        status = afar_fail_errno(err, errno, "cannot bring a receipt to the disk");
    if (status == AFAR_OK &&
        (renameat(folder_fd, "receipt.new", folder_fd, "receipt") != 0 || fsync(folder_fd) != 0))
        status = afar_fail_errno(err, errno, "cannot bring a receipt to the disk");
    (void)close(fd);
    return status;
}

enum afar_status jobdir_read_end(int fd, struct jobdir_end *end, struct afar_error *err)
{
    char text[JOBDIR_FILE_BYTES];
    size_t size = 0;
    enum afar_status status = get_file(fd, "receipt", text, sizeof text, &size, err);
    return status == AFAR_OK ? jobdir_parse_end(text, size, end, err) : status;
}

/* ---- its door -------------------------------------------------------------------------------- */

/* Through the descriptor: the path of a state folder may be longer than a socket address allows. */
static void address_of(struct sockaddr_un *address, int fd, const char *name)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", fd, name);
}

enum afar_status jobdir_listen(int fd, int *listener_fd, struct afar_error *err)
{
    static const char fresh[] = "sock.new";
    struct sockaddr_un address;
    *listener_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address_of(&address, fd, fresh);
    (void)unlinkat(fd, fresh, 0);
    if (*listener_fd >= 0 &&
        bind(*listener_fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        fchmodat(fd, fresh, 0600, 0) == 0 && listen(*listener_fd, BACKLOG) == 0 &&
        renameat(fd, fresh, fd, socket_name) == 0)
        return AFAR_OK;
    int failed = errno;
    close_one(listener_fd);
    return afar_fail_errno(err, failed, "cannot listen in a job's folder");
}

enum afar_status jobdir_connect(int fd, int *socket_fd, struct afar_error *err)
{
    struct sockaddr_un address;
    *socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*socket_fd < 0)
        return afar_fail_errno(err, errno, "cannot make a socket");
    address_of(&address, fd, socket_name);
    if (connect(*socket_fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return AFAR_OK;
    int failed = errno;
    close_one(socket_fd);
    if (failed == ECONNREFUSED || failed == ENOENT)
        return afar_fail(err, AFAR_ECLOSED, "no keeper is listening in the job's folder");
    return afar_fail_errno(err, failed, "cannot connect to a job's keeper");
}
