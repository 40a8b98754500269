/* The file server, in a fenced folder of its own. Whatever a client sends: each request is answered
 * once and in order, and nothing outside of the folder is touched. */
#include "support/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/files.h"
#include "wire/sftp.h"

enum { FILE_BYTES = 65536 }; /* maximum size of a file, so that no input fills the disk */

/* From the sanitizers, if present: keeps their reports visible while standard error is
 * redirected. */
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static char folder[] = "/tmp/afar-fuzz-XXXXXX";

static void require(bool promise)
{
    if (!promise)
        abort();
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    return at->level > 0 ? remove(path) : 0;
}

static void clear_folder(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_folder(void)
{
    clear_folder();
    (void)rmdir(folder);
}

static void make_folder(void)
{
    static bool made;
    if (!made) {
        require(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
        made = true;
    }
    require(chdir(folder) == 0);
    clear_folder();
    (void)chmod(folder, 0700);
    int fd = open("f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, "0123456789", 10) == 10 && close(fd) == 0);
    require(mkdir("d", 0700) == 0 && symlink("f", "l") == 0 && mkfifo("p", 0600) == 0);
}

static int memory(const void *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    return fd;
}

/* The next whole packet; false: there is none. */
static bool next(const uint8_t **at, const uint8_t *end, struct sftp_reader *packet)
{
    const uint8_t *body = NULL;
    size_t size = 0;
    size_t used = 0;
    if (sftp_next(*at, (size_t)(end - *at), &body, &size, &used, NULL) != AFAR_OK)
        return false;
    sftp_reader_init(packet, body, size);
    *at += used;
    return true;
}

/* `asked` and `answered` begin with INIT and VERSION. */
static void check_answers(const uint8_t *asked, size_t asked_size, const uint8_t *answered,
                          size_t answered_size, bool all)
{
    struct sftp_reader request;
    struct sftp_reader answer;
    const uint8_t *asked_end = asked + asked_size;
    const uint8_t *answered_end = answered + answered_size;
    require(next(&asked, asked_end, &request));
    require(next(&answered, answered_end, &answer) && sftp_read_u8(&answer) == SFTP_TYPE_VERSION);
    while (next(&asked, asked_end, &request)) {
        (void)sftp_read_u8(&request);
        uint32_t id = sftp_read_u32(&request);
        if (request.failed || !next(&answered, answered_end, &answer))
            break;
        uint8_t type = sftp_read_u8(&answer);
        require((type >= SFTP_TYPE_STATUS && type <= SFTP_TYPE_ATTRS) ||
                type == SFTP_TYPE_EXTENDED_REPLY);
        require(sftp_read_u32(&answer) == id && !answer.failed);
    }
    require(answered == answered_end && (!all || asked == asked_end));
}

void fuzz_sftp(const uint8_t *data, size_t size)
{
    static const uint8_t init[] = {0, 0, 0, 5, SFTP_TYPE_INIT, 0, 0, 0, SFTP_VERSION};
    static const uint8_t more[] = {
        0, 0, 0, 18, SFTP_TYPE_INIT, 0, 0, 0, SFTP_VERSION, 0, 0, 0, 4, 'a', 'f', 'a', 'r', 0,
        0, 0, 1, '1'};
    struct rlimit before;
    if (size == 0)
        return;
    bool extended = (data[0] & 1) != 0;
    size_t head = extended ? sizeof more : sizeof init;
    uint8_t *asked = malloc(head + size - 1);
    require(asked != NULL && getrlimit(RLIMIT_FSIZE, &before) == 0);
    memcpy(asked, extended ? more : init, head);
    memcpy(asked + head, data + 1, size - 1);

    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    make_folder();
    const struct files_root root = {.path = folder, .writable = true};
    const struct files_options options = {
        .home = folder, .roots = &root, .root_count = 1, .note_fd = -1};
    int in = memory(asked, head + size - 1);
    int out = memory("", 0);
    int quiet = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    require(here >= 0 && quiet >= 0 && null >= 0 && lseek(in, 0, SEEK_SET) == 0);
    if (__sanitizer_set_report_fd != NULL)
        __sanitizer_set_report_fd((void *)(intptr_t)quiet);
    require(dup2(null, STDERR_FILENO) >= 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {.rlim_cur = FILE_BYTES, .rlim_max = before.rlim_max};
    require(setrlimit(RLIMIT_FSIZE, &small) == 0);
    int status = files_serve(in, out, &options);
    require(setrlimit(RLIMIT_FSIZE, &before) == 0);
    require(dup2(quiet, STDERR_FILENO) >= 0 && fchdir(here) == 0);
    if (__sanitizer_set_report_fd != NULL)
        __sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO);

    off_t answers = lseek(out, 0, SEEK_END);
    uint8_t *answered = malloc((size_t)answers + 1);
    require(answered != NULL && pread(out, answered, (size_t)answers, 0) == answers);
    /* (The limit also applies to the memfd, and may have ended the file server.) */
    if (answers < FILE_BYTES)
        check_answers(asked, head + size - 1, answered, (size_t)answers, status == 0);
    free(answered);
    free(asked);
    (void)close(in);
    (void)close(out);
    (void)close(quiet);
    (void)close(null);
    (void)close(here);
}
