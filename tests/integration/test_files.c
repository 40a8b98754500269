/* The subsystem sftp of a real server, by real connections. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/raw.h"
#include "support/ruled.h"
#include "support/sftp_peer.h"

enum { NOBODY = 65534 };

/* `afar sftp URL`, and the peer that speaks through it. */
struct through {
    struct program program;
    struct sftp_peer peer;
};

static void set_blocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void open_through(struct through *through, const char *url)
{
    program_start(&through->program, WORDS("afar", "sftp", url), NULL);
    set_blocking(through->program.in);
    set_blocking(through->program.out);
    sftp_peer_init(&through->peer, through->program.in, through->program.out);
}

static void greet_through(struct through *through, const char *url)
{
    open_through(through, url);
    sftp_peer_greet(&through->peer, false);
}

/* Its exit status; what it has said is in program.stderr_data until close_through. */
static int end_through(struct through *through)
{
    program_finish(&through->program, NULL, 0);
    return program_exit_status(&through->program);
}

static void close_through(struct through *through)
{
    (void)sftp_peer_close(&through->peer);
    program_close(&through->program);
}

static void expect_end(struct through *through, int status, const char *said)
{
    int got = end_through(through);
    if (got != status || strstr(through->program.stderr_data, said) == NULL)
        fail_msg("%d, not %d; '%s' is not in: %s", got, status, said, through->program.stderr_data);
    close_through(through);
}

/* ---- any server ------------------------------------------------------------------------------ */

static void use_files(const char *url)
{
    struct through through;
    struct sftp_peer *peer = &through.peer;
    uint8_t handle[SFTP_HANDLE_BYTES];
    char folder[] = "/tmp/afar-sftp-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/file", folder);
    greet_through(&through, url);
    sftp_peer_open(peer, path, SFTP_OPEN_READ | SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, handle);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_WRITE, "hqs", handle, UINT64_C(0), "hello"),
                     0);
    assert_string_equal(sftp_peer_read(peer, handle, 1, 100), "ello");
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_CLOSE, "h", handle), 0);
    /* 5,000 that are opened and never closed: no more than there may be, and still served. */
    for (int i = 0; i < 5000; i++)
        (void)sftp_peer_send(peer, SFTP_TYPE_OPEN, "su-", path, SFTP_OPEN_READ);
    unsigned opened = 0;
    for (int i = 0; i < 5000; i++) {
        assert_true(sftp_peer_receive(peer));
        opened += peer->type == SFTP_TYPE_HANDLE ? 1 : 0;
        if (peer->type == SFTP_TYPE_STATUS)
            assert_string_equal(peer->text, "Too many open files");
    }
    assert_in_range(opened, 1, 4096);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_REMOVE, "s", path), 0);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_RMDIR, "s", folder), 0);
    expect_end(&through, 0, "");
}

static void send_garbage(const char *url)
{
    struct through through;
    open_through(&through, url);
    sftp_peer_send_raw(&through.peer, "SSH-2.0-OpenSSH_9.2\r\n", 21);
    expect_end(&through, 1, "sftp: a packet of 1397966893 bytes, 1 to 262144 are allowed\n");

    static const uint8_t head[] = {0, 4, 0xb0, 0, SFTP_TYPE_WRITE}; /* 300 KiB */
    greet_through(&through, url);
    sftp_peer_send_raw(&through.peer, head, sizeof head);
    expect_end(&through, 1, "sftp: a packet of 307200 bytes, 1 to 262144 are allowed\n");
}

static void test_plain_server(void **state)
{
    (void)state;
    struct afard server;
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0"));
    use_files(server.url[0]);
    send_garbage(server.url[0]);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

static void test_tls(void **state)
{
    (void)state;
    struct afard server;
    afard_start_tls(&server, WORDS("--listen", "tls://127.0.0.1:0"));
    use_files(server.url[0]);
    send_garbage(server.url[0]);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

static void expect_answer(int fd, const char *request, const char *expected)
{
    char frame[512];
    (void)snprintf(frame, sizeof frame, "{\"type\":\"exec\",\"v\":1,\"id\":1,%s}", request);
    raw_send_frame(fd, frame);
    char *header = raw_read_header(fd, NULL);
    if (header == NULL || strstr(header, expected) == NULL)
        fail_msg("%s: '%s' is not in %s", request, expected, header);
    free(header);
}

static void test_requests(void **state)
{
    (void)state;
    static const char window[] = "\"window\":8388608,\"credit\":8388608";
    struct afard server;
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0"));
    int fd = raw_connect(afard_port(&server, 0));
#define SFTP "\"subsystem\":\"sftp\",\"stdin\":\"stream\""
    expect_answer(fd, "\"subsystem\":\"ftp\",\"stdin\":\"stream\"", "\"code\":\"unsupported\"");
    expect_answer(fd, "\"subsystem\":\"sftp\"", "\"code\":\"bad_request\"");
    expect_answer(fd, SFTP ",\"argv\":[\"ls\"]", "\"code\":\"bad_request\"");
    expect_answer(fd, SFTP ",\"env\":[\"A=b\"]", "\"code\":\"bad_request\"");
    expect_answer(fd, SFTP ",\"pty\":true", "\"code\":\"bad_request\"");
    expect_answer(fd, SFTP ",\"keep\":true", "\"code\":\"bad_request\"");
    expect_answer(fd, SFTP ",\"user\":\"nosuch\"", "\"code\":\"denied\""); /* no rule says so */
    expect_answer(fd, SFTP ",\"cwd\":\"/nonexistent\"", "\"stage\":\"chdir\"");
    expect_answer(fd, SFTP ",\"cwd\":\"/tmp\"", window);
    (void)close(fd);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

/* The tutorial's protocols carry a line and no files. */
static void test_tutorial(void **state)
{
    (void)state;
    static const char *const protocols[] = {"headed", "sized", "upper"};
    for (size_t i = 0; i < 3; i++) {
        struct afard server;
        struct program program;
        char url[64];
        (void)snprintf(url, sizeof url, "tcp://127.0.0.1:0?protocol=%s", protocols[i]);
        afard_start(&server, WORDS("--listen", url));
        assert_int_equal(program_run(&program, WORDS("afar", "sftp", server.url[0]), NULL, 0), 125);
        assert_true(program.stderr_size > 0 && program.stdout_size == 0);
        program_close(&program);
        assert_int_equal(afard_stop(&server), 0);
    }
}

/* ---- how it ends ----------------------------------------------------------------------------- */

static void test_ends(void **state)
{
    (void)state;
    struct afard server;
    struct through through;
    struct program program;
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0"));
    const char *url = server.url[0];

    /* Its time is over. */
    assert_int_equal(
        program_run(&program, WORDS("afar", "sftp", "--timeout", "100ms", url), NULL, 0), 0);
    program_close(&program);
    program_start(&program, WORDS("afar", "sftp", "--timeout", "100ms", url), NULL);
    program_expect(&program, 2, "timed out after 100 ms");
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 124);
    program_close(&program);

    /* Its client is gone, and its server goes. */
    greet_through(&through, url);
    assert_int_equal(kill(through.program.pid, SIGKILL), 0);
    assert_int_equal(end_through(&through), 128 + SIGKILL);
    close_through(&through);
    afard_expect_calm(&server);
    greet_through(&through, url);
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    assert_int_equal(sftp_peer_call(&through.peer, SFTP_TYPE_STAT, "s", "/"), SFTP_TYPE_ATTRS);
    assert_int_equal(end_through(&through), 0); /* drained: it may end by itself */
    close_through(&through);
    program_finish(&server.program, NULL, 0);
    assert_int_equal(afard_stop(&server), 0);
}

/* Many at a time, and nothing is left of them. */
static void test_many(void **state)
{
    (void)state;
    enum { SESSIONS = 40, AT_ONCE = 20 };
    struct afard server;
    static struct through through[AT_ONCE];
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0"));
    for (int round = 0; round < SESSIONS / AT_ONCE; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            greet_through(&through[i], server.url[0]);
        for (int i = 0; i < AT_ONCE; i++)
            assert_int_equal(sftp_peer_call(&through[i].peer, SFTP_TYPE_OPENDIR, "s", "/"),
                             SFTP_TYPE_HANDLE);
        for (int i = 0; i < AT_ONCE; i++)
            expect_end(&through[i], 0, "");
    }
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void test_verb(void **state)
{
    (void)state;
    struct ruled ruled;
    struct through through;
    ruled_open(&ruled, "[allow x]\nclient = any\ncommand = **\nuser = root\n", "warn");
    open_through(&through, ruled.afard.url[0]);
    expect_end(&through, 125, "use files");
    ruled_close(&ruled);

    /* And the other way round: who may use files runs nothing. */
    ruled_open(&ruled, "[allow x]\nclient = any\nmay = files\n", "warn");
    greet_through(&through, ruled.afard.url[0]);
    expect_end(&through, 0, "");
    ruled_expect(&ruled, NULL, WORDS("true"), 125, "run anything");
    ruled_close(&ruled);
}

static void test_roots(void **state)
{
    (void)state;
    struct ruled ruled;
    struct through through;
    struct sftp_peer *peer = &through.peer;
    struct program program;
    char folder[] = "/tmp/afar-roots-XXXXXX";
    char rules[1024];
    char in[64];
    char ro[64];
    char path[96];
    uint8_t handle[SFTP_HANDLE_BYTES];
    enum { DENIED = SFTP_STATUS_PERMISSION_DENIED };
    assert_non_null(mkdtemp(folder));
    (void)snprintf(in, sizeof in, "%s/in", folder);
    (void)snprintf(ro, sizeof ro, "%s/ro", folder);
    assert_int_equal(mkdir(in, 0700) | mkdir(ro, 0700), 0);
    (void)snprintf(rules, sizeof rules,
                   "[allow x]\nclient = any\nmay = files\nfiles = write %s\nfiles = read %s\n"
                   "files_max = 64K\n",
                   in, ro);
    ruled_open(&ruled, rules, "warn");
    greet_through(&through, ruled.afard.url[0]);
    (void)snprintf(path, sizeof path, "%s/new", in);
    sftp_peer_open(peer, path, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, handle);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_WRITE, "hqs", handle, UINT64_C(65535), "x"),
                     SFTP_STATUS_OK);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_WRITE, "hqs", handle, UINT64_C(65536), "x"),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer->text, "larger than its rule allows (files_max)");
    (void)snprintf(path, sizeof path, "%s/new", ro);
    assert_int_equal(
        sftp_peer_status(peer, SFTP_TYPE_OPEN, "su-", path, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT),
        DENIED);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_OPEN, "su-", "/etc/passwd", SFTP_OPEN_READ),
                     DENIED);
    assert_string_equal(peer->text, "outside of what the rule allows");
    expect_end(&through, 0, "");

    /* What --explain says is what happens. */
    const struct {
        const char *kind;
        const char *path;
        int status;
        const char *said;
    } asked[] = {{"write", in, 0, "allowed by rule 'x'"},
                 {"read", ro, 0, "within"},
                 {"write", ro, 3, "allows only reading it"},
                 {"read", "/etc/passwd", 3, "lists no directory that this is in"},
                 {"append", in, 2, "read or write was expected"},
                 {"read", "etc", 2, "one absolute path"}};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        int status = program_run(&program,
                                 WORDS("afard", "-c", ruled.file, "--explain", "uid:0", "--files",
                                       asked[i].kind, "--", asked[i].path),
                                 NULL, 0);
        if (status != asked[i].status || (strstr(program.stdout_data, asked[i].said) == NULL &&
                                          strstr(program.stderr_data, asked[i].said) == NULL))
            fail_msg("%s %s: %d %s%s", asked[i].kind, asked[i].path, status, program.stdout_data,
                     program.stderr_data);
        program_close(&program);
    }
    ruled_close(&ruled);
    assert_int_equal(folder_remove(folder), 0);
}

/* ---- the audit log --------------------------------------------------------------------------- */

static char *read_log(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

/* Does a little of everything by a server with this setting, and gives its audit log. */
static char *audit(const char *setting, const char *folder)
{
    struct ruled ruled;
    struct through through;
    struct sftp_peer *peer = &through.peer;
    char rules[512];
    char log[64];
    char path[96];
    char other[96];
    uint8_t handle[SFTP_HANDLE_BYTES];
    (void)snprintf(log, sizeof log, "%s.log", folder);
    (void)snprintf(rules, sizeof rules,
                   "audit_log = %s\n%s[allow x]\nclient = any\nmay = files\nfiles = write %s\n",
                   log, setting, folder);
    (void)snprintf(path, sizeof path, "%s/new\nname", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    ruled_open(&ruled, rules, "error");
    greet_through(&through, ruled.afard.url[0]);
    sftp_peer_open(peer, path, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, handle);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_WRITE, "hqs", handle, UINT64_C(0), "hello"),
                     0);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_CLOSE, "h", handle), 0);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_RENAME, "ss", path, other), 0);
    sftp_peer_open(peer, other, SFTP_OPEN_READ, handle);
    assert_string_equal(sftp_peer_read(peer, handle, 0, 3), "hel");
    assert_int_equal(sftp_peer_call(peer, SFTP_TYPE_OPENDIR, "s", folder), SFTP_TYPE_HANDLE);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_REMOVE, "s", "/etc/passwd"),
                     SFTP_STATUS_PERMISSION_DENIED);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_REMOVE, "s", other), 0);
    expect_end(&through, 0, "");
    ruled_close(&ruled);
    char *text = read_log(log);
    assert_int_equal(unlink(log), 0);
    return text;
}

/* Where `text` is in the log behind `after`. */
static const char *expect_line(const char *after, const char *text)
{
    const char *found = strstr(after, text);
    if (found == NULL)
        fail_msg("'%s' is not in: %s", text, after);
    return found;
}

static void test_audit(void **state)
{
    (void)state;
    char folder[] = "/tmp/afar-audited-XXXXXX";
    char text[256];
    assert_non_null(mkdtemp(folder));
    const char *at = audit("", folder);
    assert_null(strstr(at, "\"op\":\"read\""));
    assert_null(strstr(at, "\"op\":\"list\""));
    assert_null(strstr(at, "\"argv\""));
    at = expect_line(at, "\"event\":\"start\"");
    at = expect_line(at, "\"subsystem\":\"sftp\"");
    /* One line, whatever is in a name. */
    (void)snprintf(text, sizeof text,
                   "\"rule\":\"x\",\"user\":\"root\",\"op\":\"write\",\"path\":\"%s/new\\nname\""
                   ",\"bytes\":5}",
                   folder);
    if (geteuid() != 0)
        (void)strcpy(text, "\"op\":\"write\"");
    at = expect_line(at, text);
    (void)snprintf(text, sizeof text, "\"to\":\"%s/other\"}", folder);
    at = expect_line(expect_line(at, "\"op\":\"rename\""), text);
    at = expect_line(at, "\"op\":\"remove\",\"path\":\"/etc/passwd\",\"errno\":\"EXDEV\"}");
    at = expect_line(at, "\"op\":\"remove\"");
    at = expect_line(at, "\"event\":\"end\"");
    assert_string_equal(strchr(at, '\n'), "\n");

    at = audit("audit_files = all\n", folder);
    at = expect_line(at, "\"op\":\"list\"");
    /* A handle that nobody closed is closed at the end, and that is before the end's line. */
    at = expect_line(at, "\"op\":\"read\"");
    at = expect_line(at, "\"bytes\":3}");
    at = expect_line(at, "\"event\":\"end\"");

    at = audit("audit_files = no\n", folder);
    assert_null(strstr(at, "\"event\":\"file\""));
    (void)expect_line(at, "\"event\":\"end\"");
    assert_int_equal(folder_remove(folder), 0);
}

/* More than may wait for the disk at once: the file server waits, and no line is lost. */
static void test_audit_of_many(void **state)
{
    (void)state;
    enum { FOLDERS = 5000 };
    struct ruled ruled;
    struct through through;
    char folder[] = "/tmp/afar-audited-XXXXXX";
    char rules[256];
    char log[64];
    char command[256];
    struct program program;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(log, sizeof log, "%s.log", folder);
    (void)snprintf(rules, sizeof rules, "audit_log = %s\n[allow x]\nclient = any\nmay = files\n",
                   log);
    ruled_open(&ruled, rules, "error");
    greet_through(&through, ruled.afard.url[0]);
    for (int i = 0; i < FOLDERS; i++) {
        char path[96];
        (void)snprintf(path, sizeof path, "%s/%d", folder, i);
        (void)sftp_peer_send(&through.peer, SFTP_TYPE_MKDIR, "s-", path);
    }
    for (int i = 0; i < FOLDERS; i++)
        assert_true(sftp_peer_receive(&through.peer) && through.peer.status == 0);
    expect_end(&through, 0, "");
    ruled_close(&ruled);
    (void)snprintf(command, sizeof command, "grep -c '\"op\":\"mkdir\"' %s; grep -c lost %s", log,
                   log);
    (void)program_run(&program, WORDS("sh", "-c", command), NULL, 0);
    assert_string_equal(program.stdout_data, "5000\n0\n");
    program_close(&program);
    assert_int_equal(unlink(log), 0);
    assert_int_equal(folder_remove(folder), 0);
}

/* ---- other users and roots ------------------------------------------------------------------- */

static bool need_root(void)
{
    if (geteuid() == 0)
        return true;
    print_message("skipped: only root can become somebody else\n");
    return false;
}

/* The user's rights are the bound, his home the beginning, and his umask holds. */
static void test_user(void **state)
{
    (void)state;
    struct ruled ruled;
    struct through through;
    struct sftp_peer *peer = &through.peer;
    struct stat info;
    char folder[] = "/tmp/afar-user-XXXXXX";
    char path[64];
    uint8_t handle[SFTP_HANDLE_BYTES];
    if (!need_root())
        return;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 01777), 0);
    (void)snprintf(path, sizeof path, "%s/file", folder);
    ruled_open(&ruled,
               "[allow x]\nclient = any\nmay = files\nuser = nobody\ncwd = /tmp\numask = 077\n",
               "warn");
    greet_through(&through, ruled.afard.url[0]);
    assert_int_equal(sftp_peer_call(peer, SFTP_TYPE_REALPATH, "s", "."), SFTP_TYPE_NAME);
    assert_string_equal(peer->text, "/tmp");
    sftp_peer_open(peer, path, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, handle);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_uid, NOBODY);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_OPEN, "su-", "/etc/shadow", SFTP_OPEN_READ),
                     SFTP_STATUS_PERMISSION_DENIED);
    struct sftp_attrs attrs = {.flags = SFTP_ATTR_OWNER};
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_SETSTAT, "sa", path, &attrs),
                     SFTP_STATUS_PERMISSION_DENIED);
    expect_end(&through, 0, "");
    ruled_close(&ruled);
    assert_int_equal(folder_remove(folder), 0);
}

/* In a root directory that has nothing at all. */
static void test_empty_root(void **state)
{
    (void)state;
    struct ruled ruled;
    struct through through;
    struct sftp_peer *peer = &through.peer;
    char folder[] = "/tmp/afar-root-XXXXXX";
    char rules[256];
    char path[64];
    uint8_t handle[SFTP_HANDLE_BYTES];
    if (!need_root())
        return;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0777), 0);
    (void)snprintf(rules, sizeof rules,
                   "[allow x]\nclient = any\nmay = files\nuser = nobody\nchroot = %s\n", folder);
    ruled_open(&ruled, rules, "warn");
    greet_through(&through, ruled.afard.url[0]);
    assert_int_equal(sftp_peer_call(peer, SFTP_TYPE_REALPATH, "s", "../.."), SFTP_TYPE_NAME);
    assert_string_equal(peer->text, "/");
    sftp_peer_open(peer, "/file", SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, handle);
    assert_int_equal(sftp_peer_status(peer, SFTP_TYPE_OPEN, "su-", "/etc/passwd", SFTP_OPEN_READ),
                     SFTP_STATUS_NO_SUCH_FILE);
    expect_end(&through, 0, "");
    (void)snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(access(path, F_OK), 0);
    ruled_close(&ruled);
    assert_int_equal(folder_remove(folder), 0);
}

/* ---- other people's clients ------------------------------------------------------------------ */

static void test_openssh(void **state)
{
    (void)state;
    struct afard server;
    struct program program;
    char folder[] = "/tmp/afar-openssh-XXXXXX";
    char afar[PROGRAM_TEXT_BYTES];
    char way[PROGRAM_TEXT_BYTES + 600];
    char batch[1024];
    if (access("/usr/bin/sftp", X_OK) != 0) {
        print_message("skipped: there is no sftp(1) here\n");
        return;
    }
    assert_non_null(mkdtemp(folder));
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0"));
    (void)snprintf(way, sizeof way, "%s sftp %s", program_path("afar", afar), server.url[0]);
    (void)snprintf(batch, sizeof batch,
                   "cd %s\nmkdir d\nput -p /etc/passwd d/p\nget d/p %s/back\nrename d/p d/q\n"
                   "ln -s q d/l\nchmod 600 d/q\nls -l d\ndf\n",
                   folder, folder);
    int status = program_run(&program, WORDS("sftp", "-b", "-", "-D", way), batch, strlen(batch));
    if (status != 0)
        fail_msg("%d: %s%s", status, program.stdout_data, program.stderr_data);
    assert_non_null(strstr(program.stdout_data, "d/q"));
    program_close(&program);
    (void)snprintf(batch, sizeof batch, "cmp /etc/passwd %s/back && cmp /etc/passwd %s/d/l", folder,
                   folder);
    assert_int_equal(program_run(&program, WORDS("sh", "-c", batch), NULL, 0), 0);
    program_close(&program);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
    assert_int_equal(folder_remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_server), cmocka_unit_test(test_tls),
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_tutorial),
        cmocka_unit_test(test_ends),         cmocka_unit_test(test_many),
        cmocka_unit_test(test_verb),         cmocka_unit_test(test_roots),
        cmocka_unit_test(test_audit),        cmocka_unit_test(test_audit_of_many),
        cmocka_unit_test(test_user),         cmocka_unit_test(test_empty_root),
        cmocka_unit_test(test_openssh),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
