#include "support/sftp_peer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/program.h"

void sftp_peer_init(struct sftp_peer *peer, int to, int from)
{
    *peer = (struct sftp_peer){.to = to, .from = from, .err = -1, .next_id = 1};
    peer->packet = malloc(SFTP_PEER_BYTES);
    assert_non_null(peer->packet);
    (void)alarm((unsigned)(test_deadline_ms() / 1000));
}

void sftp_peer_serve(struct sftp_peer *peer,
                     int (*serve)(int in_fd, int out_fd, const struct files_options *options),
                     const struct files_options *options)
{
    int ends[2];
    int err[2];
    char folder[64] = "/tmp/afar-files-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (chdir(folder) != 0 || dup2(ends[1], 0) < 0 || dup2(ends[1], 1) < 0 ||
            dup2(err[1], 2) < 0)
            _exit(99);
        (void)close(ends[0]);
        (void)close(ends[1]);
        int status = serve(0, 1, options);
        (void)fflush(stderr);
        _exit(status);
    }
    (void)close(ends[1]);
    (void)close(err[1]);
    sftp_peer_init(peer, ends[0], ends[0]);
    peer->pid = pid;
    peer->err = err[0];
    (void)strcpy(peer->folder, folder);
}

int sftp_peer_close(struct sftp_peer *peer)
{
    int status = 0;
    if (peer->pid > 0) {
        (void)shutdown(peer->to, SHUT_WR);
        assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
        (void)close(peer->to);
        (void)close(peer->err);
        assert_int_equal(folder_remove(peer->folder), 0);
    }
    free(peer->packet);
    (void)alarm(0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void sftp_peer_send_raw(struct sftp_peer *peer, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent =
            peer->pid > 0 ? send(peer->to, at, size, MSG_NOSIGNAL) : write(peer->to, at, size);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return; /* the server has ended: no answer will come */
        at += sent;
        size -= (size_t)sent;
    }
}

static void put_fields(struct sftp_writer *writer, const char *format, va_list args)
{
    static const struct sftp_attrs none = {0};
    for (; *format != '\0'; format++) {
        const void *bytes = NULL;
        switch (*format) {
        case 'u':
            sftp_put_u32(writer, va_arg(args, uint32_t));
            break;
        case 'q':
            sftp_put_u64(writer, va_arg(args, uint64_t));
            break;
        case 's':
            sftp_put_word(writer, va_arg(args, const char *));
            break;
        case 't':
            bytes = va_arg(args, const void *);
            sftp_put_text(writer, bytes, va_arg(args, size_t));
            break;
        case 'r':
            bytes = va_arg(args, const void *);
            sftp_put_bytes(writer, bytes, va_arg(args, size_t));
            break;
        case 'h':
            sftp_put_text(writer, va_arg(args, const uint8_t *), SFTP_HANDLE_BYTES);
            break;
        case 'a':
            sftp_put_attrs(writer, va_arg(args, const struct sftp_attrs *));
            break;
        case '-':
            sftp_put_attrs(writer, &none);
            break;
        default:
            fail_msg("no field is '%c'", *format);
        }
    }
}

static uint32_t send_fields(struct sftp_peer *peer, uint8_t type, const char *format, va_list args)
{
    struct buffer out;
    struct sftp_writer writer;
    uint32_t id = peer->next_id++;
    buffer_init(&out, SFTP_PEER_BYTES);
    sftp_begin(&writer, &out, SFTP_PEER_BYTES - SFTP_LENGTH_BYTES);
    sftp_put_u8(&writer, type);
    sftp_put_u32(&writer, id);
    put_fields(&writer, format, args);
    assert_int_equal(sftp_end(&writer, NULL), AFAR_OK);
    sftp_peer_send_raw(peer, buffer_head(&out), buffer_size(&out));
    buffer_close(&out);
    return id;
}

uint32_t sftp_peer_send(struct sftp_peer *peer, uint8_t type, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    uint32_t id = send_fields(peer, type, format, args);
    va_end(args);
    return id;
}

static bool read_exactly(struct sftp_peer *peer, void *data, size_t size)
{
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = read(peer->from, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static void keep_text(struct sftp_peer *peer, struct sftp_text text)
{
    assert_true(text.size < sizeof peer->text);
    memcpy(peer->text, text.bytes, text.size);
    peer->text[text.size] = '\0';
}

/* Decodes what most tests need; `body` stays at the beginning. */
static void understand(struct sftp_peer *peer)
{
    struct sftp_reader body = peer->body;
    struct sftp_text text;
    peer->text[0] = '\0';
    switch (peer->type) {
    case SFTP_TYPE_STATUS:
        peer->status = sftp_read_u32(&body);
        keep_text(peer, sftp_read_text(&body));
        (void)sftp_read_text(&body);
        break;
    case SFTP_TYPE_HANDLE:
        text = sftp_read_text(&body);
        assert_int_equal(text.size, SFTP_HANDLE_BYTES);
        memcpy(peer->handle, text.bytes, text.size);
        break;
    case SFTP_TYPE_ATTRS:
        sftp_read_attrs(&body, &peer->attrs);
        break;
    case SFTP_TYPE_NAME:
        if (sftp_read_u32(&body) > 0)
            keep_text(peer, sftp_read_text(&body));
        return; /* there may be more of them */
    default:
        return;
    }
    assert_false(body.failed);
    assert_int_equal(sftp_reader_left(&body), 0);
}

bool sftp_peer_receive(struct sftp_peer *peer)
{
    uint8_t head[SFTP_LENGTH_BYTES];
    if (!read_exactly(peer, head, sizeof head))
        return false;
    sftp_reader_init(&peer->body, head, sizeof head);
    uint32_t size = sftp_read_u32(&peer->body);
    assert_in_range(size, 5, SFTP_PEER_BYTES);
    assert_true(read_exactly(peer, peer->packet, size));
    sftp_reader_init(&peer->body, peer->packet, size);
    peer->type = sftp_read_u8(&peer->body);
    peer->id = sftp_read_u32(&peer->body);
    understand(peer);
    return true;
}

static void expect_answer(struct sftp_peer *peer, uint32_t id)
{
    if (!sftp_peer_receive(peer))
        fail_msg("the server has ended: %s", peer->err >= 0 ? sftp_peer_complaint(peer) : "");
    assert_int_equal(peer->id, id);
}

uint8_t sftp_peer_call(struct sftp_peer *peer, uint8_t type, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    expect_answer(peer, send_fields(peer, type, format, args));
    va_end(args);
    return peer->type;
}

uint32_t sftp_peer_status(struct sftp_peer *peer, uint8_t type, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    expect_answer(peer, send_fields(peer, type, format, args));
    va_end(args);
    assert_int_equal(peer->type, SFTP_TYPE_STATUS);
    return peer->status;
}

void sftp_peer_greet(struct sftp_peer *peer, bool extended)
{
    static const uint8_t init[] = {0, 0, 0, 5, SFTP_TYPE_INIT, 0, 0, 0, SFTP_VERSION};
    static const uint8_t more[] = {
        0, 0, 0, 18, SFTP_TYPE_INIT, 0, 0, 0, SFTP_VERSION, 0, 0, 0, 4, 'a', 'f', 'a', 'r', 0,
        0, 0, 1, '1'};
    sftp_peer_send_raw(peer, extended ? more : init, extended ? sizeof more : sizeof init);
    assert_true(sftp_peer_receive(peer));
    assert_int_equal(peer->type, SFTP_TYPE_VERSION);
    assert_int_equal(peer->id, SFTP_VERSION);
}

void sftp_peer_open(struct sftp_peer *peer, const char *path, uint32_t flags,
                    uint8_t handle[SFTP_HANDLE_BYTES])
{
    if (sftp_peer_call(peer, SFTP_TYPE_OPEN, "su-", path, flags) != SFTP_TYPE_HANDLE)
        fail_msg("cannot open %s: %s", path, peer->text);
    memcpy(handle, peer->handle, SFTP_HANDLE_BYTES);
}

const char *sftp_peer_read(struct sftp_peer *peer, const uint8_t *handle, uint64_t offset,
                           uint32_t size)
{
    if (sftp_peer_call(peer, SFTP_TYPE_READ, "hqu", handle, offset, size) == SFTP_TYPE_STATUS) {
        assert_int_equal(peer->status, SFTP_STATUS_EOF);
        return "";
    }
    assert_int_equal(peer->type, SFTP_TYPE_DATA);
    keep_text(peer, sftp_read_text(&peer->body));
    return peer->text;
}

static void path_of(const struct sftp_peer *peer, const char *name, char path[PROGRAM_TEXT_BYTES])
{
    (void)snprintf(path, PROGRAM_TEXT_BYTES, "%s/%s", peer->folder, name);
}

void sftp_peer_put(const struct sftp_peer *peer, const char *name, const char *content)
{
    char path[PROGRAM_TEXT_BYTES];
    path_of(peer, name, path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

const char *sftp_peer_get(const struct sftp_peer *peer, const char *name)
{
    static char content[SFTP_PEER_TEXT_BYTES];
    char path[PROGRAM_TEXT_BYTES];
    path_of(peer, name, path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    content[fread(content, 1, sizeof content - 1, file)] = '\0';
    (void)fclose(file);
    return content;
}

const char *sftp_peer_complaint(struct sftp_peer *peer)
{
    static char text[SFTP_PEER_TEXT_BYTES];
    size_t used = 0;
    ssize_t got = 0;
    while (used < sizeof text - 1 &&
           (got = read(peer->err, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    return text;
}
