#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "files/internal.h"

enum {
    IN_BYTES = SFTP_LENGTH_BYTES + SFTP_PACKET_MAX_BYTES + BUFFER_PACE_MAX_BYTES,
    /* The answers that may wait, and one that is being made. */
    OUT_BYTES = FILES_ANSWERS_BYTES + SFTP_LENGTH_BYTES + SFTP_PACKET_MAX_BYTES,
    SPARE_FDS = 16 /* descriptors that are not handles */
};

/* ---- the table of requests ------------------------------------------------------------------- */

static const struct {
    enum sftp_type type;
    void (*run)(struct request *request);
} operations[] = {
    {SFTP_TYPE_OPEN, op_open},         {SFTP_TYPE_CLOSE, op_close},
    {SFTP_TYPE_READ, op_read},         {SFTP_TYPE_WRITE, op_write},
    {SFTP_TYPE_LSTAT, op_lstat},       {SFTP_TYPE_FSTAT, op_fstat},
    {SFTP_TYPE_SETSTAT, op_setstat},   {SFTP_TYPE_FSETSTAT, op_fsetstat},
    {SFTP_TYPE_OPENDIR, op_opendir},   {SFTP_TYPE_READDIR, op_readdir},
    {SFTP_TYPE_REMOVE, op_remove},     {SFTP_TYPE_MKDIR, op_mkdir},
    {SFTP_TYPE_RMDIR, op_rmdir},       {SFTP_TYPE_REALPATH, op_realpath},
    {SFTP_TYPE_STAT, op_stat},         {SFTP_TYPE_RENAME, op_rename},
    {SFTP_TYPE_READLINK, op_readlink}, {SFTP_TYPE_SYMLINK, op_symlink},
};

/* Names and versions are OpenSSH's (its PROTOCOL file, §4), except check-file, which is from
 * draft-ietf-secsh-filexfer-extensions-00 §3, and the names that paramiko uses for it. */
static const struct {
    const char *name;
    const char *version; /* NULL: not announced */
    void (*run)(struct request *request);
} extensions[] = {
    {"posix-rename@openssh.com", "1", op_posix_rename},
    {"statvfs@openssh.com", "2", op_statvfs},
    {"fstatvfs@openssh.com", "2", op_fstatvfs},
    {"hardlink@openssh.com", "1", op_hardlink},
    {"fsync@openssh.com", "1", op_fsync},
    {"lsetstat@openssh.com", "1", op_lsetstat},
    {"limits@openssh.com", "1", op_limits},
    {"expand-path@openssh.com", "1", op_expand_path},
    {"users-groups-by-id@openssh.com", "1", op_users_groups},
    {"copy-data", "1", op_copy_data},
    {"home-directory", "1", op_home_directory},
    {"check-file", "1", op_check_file_handle},
    {"check-file-handle", NULL, op_check_file_handle},
    {"check-file-name", NULL, op_check_file_name},
};

/* Only for clients that have said that they know these. */
static const struct {
    const char *name;
    void (*run)(struct request *request);
} own_extensions[] = {
    {"list@afar", op_list},       {"get@afar", op_get},       {"put@afar", op_put},
    {"partial@afar", op_partial}, {"commit@afar", op_commit}, {"ranges@afar", op_ranges},
};

enum { OWN_EXTENSIONS = sizeof own_extensions / sizeof own_extensions[0] };

enum { EXTENSIONS = sizeof extensions / sizeof extensions[0] };

static void run_extension(struct request *request)
{
    struct sftp_text name = sftp_read_text(&request->in);
    for (size_t i = 0; i < EXTENSIONS; i++) {
        if (sftp_text_is(&name, extensions[i].name)) {
            extensions[i].run(request);
            return;
        }
    }
    for (size_t i = 0; request->files->extended && i < OWN_EXTENSIONS; i++) {
        if (sftp_text_is(&name, own_extensions[i].name)) {
            own_extensions[i].run(request);
            return;
        }
    }
    reply_status(request, SFTP_STATUS_OP_UNSUPPORTED, "this server does not know the extension");
}

static void run_operation(struct request *request, uint8_t type)
{
    if (type == SFTP_TYPE_EXTENDED) {
        run_extension(request);
        return;
    }
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (operations[i].type == (enum sftp_type)type) {
            operations[i].run(request);
            return;
        }
    }
    reply_status(request, SFTP_STATUS_OP_UNSUPPORTED, "this server does not know the request");
}

/* ---- packets --------------------------------------------------------------------------------- */

/* This server speaks version 3 whatever newer version the client has. */
static bool greet(struct files *files, struct sftp_reader *in)
{
    struct sftp_writer writer;
    uint32_t version = sftp_read_u32(in);
    if (in->failed || version < SFTP_VERSION)
        return false;
    while (sftp_reader_left(in) > 0 && !in->failed) {
        struct sftp_text name = sftp_read_text(in);
        struct sftp_text value = sftp_read_text(in);
        if (!in->failed && sftp_text_is(&name, "afar") && sftp_text_is(&value, "1"))
            files->extended = true;
    }
    sftp_begin(&writer, &files->out, 1024);
    sftp_put_u8(&writer, SFTP_TYPE_VERSION);
    sftp_put_u32(&writer, SFTP_VERSION);
    for (size_t i = 0; i < EXTENSIONS; i++) {
        if (extensions[i].version == NULL)
            continue;
        sftp_put_word(&writer, extensions[i].name);
        sftp_put_word(&writer, extensions[i].version);
    }
    files->greeted = true;
    return sftp_end(&writer, NULL) == AFAR_OK;
}

/* False: the file server must end, and the reason was printed. */
static bool take_packet(struct files *files, const uint8_t *body, size_t size)
{
    struct request request = {.files = files};
    sftp_reader_init(&request.in, body, size);
    uint8_t type = sftp_read_u8(&request.in);
    if (type == SFTP_TYPE_INIT && !files->greeted) {
        if (greet(files, &request.in))
            return true;
        (void)fputs("sftp: the client speaks a version below 3\n", stderr);
        return false;
    }
    request.id = sftp_read_u32(&request.in);
    if (request.in.failed || !files->greeted) {
        (void)fputs("sftp: the client sent an invalid packet\n", stderr);
        return false;
    }
    run_operation(&request, type);
    if (files->failed)
        (void)fputs("sftp: out of memory for an answer\n", stderr);
    return !files->failed;
}

static bool may_take(const struct files *files)
{
    return buffer_size(&files->out) < FILES_ANSWERS_BYTES;
}

/* Takes the packets that have come, while there is room for answers. */
static bool take_packets(struct files *files)
{
    struct afar_error err;
    while (may_take(files)) {
        const uint8_t *body = NULL;
        size_t size = 0;
        size_t used = 0;
        enum afar_status status =
            sftp_next(buffer_head(&files->in), buffer_size(&files->in), &body, &size, &used, &err);
        if (status == AFAR_EAGAIN)
            return true;
        if (status != AFAR_OK) {
            (void)fprintf(stderr, "sftp: %s\n", err.message);
            return false;
        }
        if (!take_packet(files, body, size))
            return false;
        buffer_consume(&files->in, used);
    }
    return true;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* AFAR_OK; AFAR_EAGAIN: nothing now; AFAR_ECLOSED: end of the input; AFAR_ENOMEM, AFAR_ELIMIT,
 * AFAR_ESYSTEM. */
static enum afar_status receive(struct files *files, int fd, struct afar_error *err)
{
    uint8_t *room = NULL;
    size_t asked = files->in.pace_bytes;
    enum afar_status status = buffer_reserve(&files->in, asked, &room, err);
    if (status != AFAR_OK)
        return status;
    ssize_t got = read(fd, room, asked);
    if (got > 0) {
        buffer_commit(&files->in, (size_t)got);
        buffer_pace(&files->in, asked, (size_t)got);
        return AFAR_OK;
    }
    if (got == 0)
        return AFAR_ECLOSED;
    if (errno == EINTR || errno == EAGAIN)
        return AFAR_EAGAIN;
    return afar_fail_errno(err, errno, "cannot read requests");
}

static enum afar_status transmit(struct files *files, int fd, struct afar_error *err)
{
    while (buffer_size(&files->out) > 0) {
        ssize_t sent = write(fd, buffer_head(&files->out), buffer_size(&files->out));
        if (sent >= 0)
            buffer_consume(&files->out, (size_t)sent);
        else if (errno == EAGAIN)
            return AFAR_EAGAIN;
        else if (errno != EINTR)
            return afar_fail_errno(err, errno, "cannot send answers");
    }
    return AFAR_OK;
}

/* Waits until reading or writing can continue. */
static void wait_ready(struct files *files, int in_fd, int out_fd, bool ended)
{
    bool reads = !ended && may_take(files);
    struct pollfd waiting[2] = {
        {.fd = reads ? in_fd : -1, .events = POLLIN},
        {.fd = buffer_size(&files->out) > 0 ? out_fd : -1, .events = POLLOUT},
    };
    (void)poll(waiting, 2, -1); /* a failure shows at the next read or write */
}

/* The client has ended its input, and all answers are sent. */
static int end(const struct files *files)
{
    if (buffer_size(&files->in) == 0)
        return 0;
    (void)fputs("sftp: the client ended inside a packet\n", stderr);
    return 1;
}

/* Reads once, if there is room for answers, and takes the packets. Returns what receive does;
 * AFAR_EPEER: a packet was bad, and the reason was printed. */
static enum afar_status advance(struct files *files, int in_fd, bool ended, struct afar_error *err)
{
    enum afar_status got = AFAR_EAGAIN;
    if (!ended && may_take(files))
        got = receive(files, in_fd, err);
    return got == AFAR_OK && !take_packets(files) ? AFAR_EPEER : got;
}

/* Returns the exit status; -1: *err says why. */
static int serve(struct files *files, int in_fd, int out_fd, struct afar_error *err)
{
    bool ended = false;
    for (;;) {
        bool full = !may_take(files);
        enum afar_status sent = transmit(files, out_fd, err);
        if (sent != AFAR_OK && sent != AFAR_EAGAIN)
            return -1;
        /* Packets that were left while there was no room for answers come before new input. */
        if (full && may_take(files) && !take_packets(files))
            return 1;
        if (ended && may_take(files) && buffer_size(&files->out) == 0)
            return end(files);
        enum afar_status got = advance(files, in_fd, ended, err);
        if (got == AFAR_EPEER)
            return 1;
        if (got != AFAR_OK && got != AFAR_EAGAIN && got != AFAR_ECLOSED)
            return -1;
        ended = ended || got == AFAR_ECLOSED;
        if (got == AFAR_EAGAIN && (buffer_size(&files->out) == 0 || sent == AFAR_EAGAIN))
            wait_ready(files, in_fd, out_fd, ended);
    }
}

static bool set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Raises the soft limit, which is low only for programs that use select(2). */
static size_t handles_allowed(void)
{
    const rlim_t wanted = FILES_HANDLES_MAX + SPARE_FDS;
    struct rlimit limit = {.rlim_cur = 1024};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        struct rlimit more = limit;
        more.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            limit = more;
    }
    size_t most = limit.rlim_cur > SPARE_FDS ? (size_t)limit.rlim_cur - SPARE_FDS : 1;
    return most < FILES_HANDLES_MAX ? most : FILES_HANDLES_MAX;
}

static bool has_size_limit(void)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

int files_serve(int in_fd, int out_fd, const struct files_options *options)
{
    struct files files = {.home = options->home != NULL ? options->home : "/",
                          .roots = options->roots,
                          .root_count = options->root_count,
                          .own_root = options->own_root,
                          .note_fd = options->note_fd,
                          .note_changes = options->note_changes,
                          .note_all = options->note_all,
                          .limited = has_size_limit(),
                          .lock_wait_ms = FILES_LOCK_WAIT_MS,
                          .handles_max = handles_allowed()};
    buffer_init(&files.in, IN_BYTES);
    buffer_init(&files.out, OUT_BYTES);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* then a write that makes a file too large fails with EFBIG */
    struct afar_error err = {0};
    int status = 1;
    if (set_nonblocking(in_fd) && set_nonblocking(out_fd))
        status = serve(&files, in_fd, out_fd, &err);
    else
        perror("sftp: fcntl");
    if (status < 0) {
        (void)fprintf(stderr, "sftp: %s\n", err.message);
        status = 1;
    }
    if (status != 0) /* send the answers to requests that came before a broken packet */
        (void)transmit(&files, out_fd, NULL);
    handles_close(&files);
    listing_close(&files.listing);
    buffer_close(&files.in);
    buffer_close(&files.out);
    return status;
}
