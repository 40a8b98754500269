#include "afar/known_hosts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/draft.h"
#include "afar/paths.h"
#include "afar/pin_text.h"
#include "afar/report.h"

enum { LOCK_WAIT_MS = 10000, LOCK_RETRY_MS = 20 };

static const char default_port[] = "7420";
static const char byte_order_mark[] = "\xEF\xBB\xBF";

/* ---- names ----------------------------------------------------------------------------------- */

/* Gives the one spelling of an IPv6 address by which it is compared. False: not an IPv6 address. */
static bool spell_ipv6(const char *host, char *out, size_t size)
{
    char bare[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t length = strcspn(host, "%"); /* a scope may follow, as in fe80::1%eth0 */
    if (length >= sizeof bare)
        return false;
    memcpy(bare, host, length);
    bare[length] = '\0';
    if (inet_pton(AF_INET6, bare, &address) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&address)) /* connecting uses IPv4 */
        (void)inet_ntop(AF_INET, &address.s6_addr[12], bare, sizeof bare);
    else
        (void)inet_ntop(AF_INET6, &address, bare, sizeof bare);
    bool brackets = strchr(bare, ':') != NULL;
    return snprintf(out, size, "%s%s%s%s", brackets ? "[" : "", bare, host + length,
                    brackets ? "]" : "") < (int)size;
}

/* Spells a host as it is compared: in lower case, without a dot at the end, an address in its usual
 * form. */
static bool spell_host(const char *host, size_t host_size, char *out, size_t size)
{
    char text[KNOWN_HOSTS_NAME_BYTES];
    struct in_addr address;
    bool bracketed = host[0] == '[';
    if (bracketed) {
        host++;
        host_size = host_size < 2 ? 0 : host_size - 2;
    }
    if (host_size > 1 && !bracketed && host[host_size - 1] == '.')
        host_size--;
    if (host_size == 0 || host_size >= sizeof text || host_size >= size)
        return false;
    memcpy(text, host, host_size);
    text[host_size] = '\0';
    for (char *at = text; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    if (bracketed)
        return spell_ipv6(text, out, size);
    if (inet_aton(text, &address) != 0) /* 127.1 and 0x7f000001 are addresses too: getaddrinfo(3) */
        return inet_ntop(AF_INET, &address, out, (socklen_t)size) != NULL;
    return snprintf(out, size, "%s", text) < (int)size;
}

/* The library will refuse malformed URLs; here they must only never be taken for another
 * server's. */
bool known_hosts_name(const char *url, char name[KNOWN_HOSTS_NAME_BYTES])
{
    char spelled[KNOWN_HOSTS_NAME_BYTES];
    const char *mark = strstr(url, "://");
    if (mark != NULL && strncasecmp(url, "tls://", 6) != 0)
        return false;
    const char *host = mark != NULL ? mark + 3 : url;
    size_t size = strcspn(host, "?/");
    size_t host_size = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":?/");
    if (host_size > size)
        return false;
    const char *port = default_port;
    size_t port_size = strlen(port);
    if (host_size < size) {
        port = host + host_size + 1;
        port_size = size - host_size - 1;
        if (port[-1] != ':')
            return false;
        for (; port_size > 1 && *port == '0'; port_size--)
            port++;
    }
    if (host_size == 0 || port_size == 0 || strspn(port, "0123456789") < port_size ||
        !spell_host(host, host_size, spelled, sizeof spelled))
        return false;
    int length = snprintf(name, KNOWN_HOSTS_NAME_BYTES, "%s:%.*s", spelled, (int)port_size, port);
    if (length >= KNOWN_HOSTS_NAME_BYTES)
        return false;
    return strpbrk(name, " \t\r\n#") == NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The whole file. */
struct text {
    char *data; /* NUL-terminated; NULL: no file */
    size_t size;
    size_t start; /* the first line's: after a byte order mark, which some editors write */
};

static bool read_descriptor(int fd, const char *file, struct text *text)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        report("cannot examine '%s': %s", file, strerror(errno));
        return false;
    }
    if (!S_ISREG(info.st_mode) || info.st_size > KNOWN_HOSTS_FILE_BYTES) {
        report("'%s' is not a file of known servers: it is %s", file,
               S_ISREG(info.st_mode) ? "too large" : "not a plain file");
        return false;
    }
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        report("'%s' can be changed by others, so it is not trusted: check it, then chmod go-w it",
               file);
        return false;
    }
    text->data = malloc((size_t)info.st_size + 1);
    if (text->data == NULL) {
        report("out of memory");
        return false;
    }
    while (text->size < (size_t)info.st_size) {
        ssize_t got = read(fd, text->data + text->size, (size_t)info.st_size - text->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            report("cannot read '%s': %s", file, strerror(errno));
            return false;
        }
        if (got == 0)
            break;
        text->size += (size_t)got;
    }
    text->data[text->size] = '\0';
    return true;
}

static bool read_text(const char *file, struct text *text)
{
    *text = (struct text){0};
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: do not hang on a FIFO */
    int why = errno;
    if (fd < 0 && (why == ENOENT || why == ENOTDIR) && !path_may_exist(file))
        return true;
    if (fd < 0) {
        report("cannot read the known servers in '%s': %s", file, strerror(why));
        return false;
    }
    bool read = read_descriptor(fd, file, text);
    (void)close(fd);
    if (read && strlen(text->data) != text->size) {
        report("'%s' is not a file of known servers: it contains a NUL byte", file);
        read = false;
    }
    if (read && strncmp(text->data, byte_order_mark, sizeof byte_order_mark - 1) == 0)
        text->start = sizeof byte_order_mark - 1;
    if (!read) {
        free(text->data);
        *text = (struct text){0};
    }
    return read;
}

/* One line, without its newline. */
enum line_kind { LINE_EMPTY, LINE_HOST, LINE_BAD };

struct line {
    char name[KNOWN_HOSTS_NAME_BYTES]; /* spelled as it is compared */
    char pin[AFAR_PIN_BYTES];
};

static bool take_name(const char *text, size_t size, char name[KNOWN_HOSTS_NAME_BYTES])
{
    char written[KNOWN_HOSTS_NAME_BYTES];
    size_t digits = 0;
    while (digits < size && isdigit((unsigned char)text[size - 1 - digits]))
        digits++;
    if (digits == 0 || digits + 1 >= size || text[size - 1 - digits] != ':' ||
        size >= sizeof written)
        return false;
    memcpy(written, text, size);
    written[size] = '\0';
    return known_hosts_name(written, name);
}

static enum line_kind parse_line(const char *text, size_t size, struct line *line)
{
    static const char blanks[] = " \t\r";
    char written[sizeof PIN_PREFIX + AFAR_PIN_BYTES];
    const char *end = text + size;
    const char *word[3];
    size_t word_size[3];
    for (int i = 0; i < 3; i++) {
        while (text < end && strchr(blanks, *text) != NULL)
            text++;
        word[i] = text;
        while (text < end && strchr(blanks, *text) == NULL)
            text++;
        word_size[i] = (size_t)(text - word[i]);
    }
    if (word_size[0] == 0 || word[0][0] == '#')
        return LINE_EMPTY;
    if (!take_name(word[0], word_size[0], line->name) || word_size[1] >= sizeof written ||
        (word_size[2] > 0 && word[2][0] != '#'))
        return LINE_BAD;
    (void)snprintf(written, sizeof written, "%.*s", (int)word_size[1], word[1]);
    if (!pin_parse(written, line->pin))
        return LINE_BAD;
    return LINE_HOST;
}

/* A malformed line breaks the search, because it may be the one that would show another key. */
static enum known_hosts_answer search(const struct text *text, const char *file, const char *name,
                                      const char *pin, struct known_host *known)
{
    enum known_hosts_answer answer = KNOWN_HOSTS_NEVER;
    const char *end = text->data + text->size;
    size_t number = 1;
    for (const char *at = text->data + text->start; at < end; number++) {
        struct line line;
        size_t size = strcspn(at, "\n");
        enum line_kind kind = parse_line(at, size, &line);
        at += size + 1;
        if (kind == LINE_BAD) {
            report("%s:%zu: this is not 'HOST:PORT sha256:HEX'; fix or remove the line", file,
                   number);
            return KNOWN_HOSTS_BROKEN;
        }
        if (kind == LINE_EMPTY || strcmp(line.name, name) != 0)
            continue;
        bool same = pin != NULL && strcmp(line.pin, pin) == 0;
        if (same || answer == KNOWN_HOSTS_NEVER) {
            memcpy(known->pin, line.pin, sizeof known->pin);
            known->line = number;
            answer = KNOWN_HOSTS_OTHER;
        }
        if (same || pin == NULL)
            return same ? KNOWN_HOSTS_SAME : KNOWN_HOSTS_OTHER;
    }
    return answer;
}

enum known_hosts_answer known_hosts_look_up(const char *file, const char *name, const char *pin,
                                            struct known_host *known)
{
    struct text text;
    *known = (struct known_host){0};
    if (!read_text(file, &text))
        return KNOWN_HOSTS_BROKEN;
    if (text.data == NULL)
        return KNOWN_HOSTS_NEVER;
    enum known_hosts_answer answer = search(&text, file, name, pin, known);
    free(text.data);
    return answer;
}

bool known_hosts_each(const char *file, const char *name, void (*take)(void *user, const char *pin),
                      void *user)
{
    struct text text;
    bool good = read_text(file, &text);
    const char *end = good && text.data != NULL ? text.data + text.size : NULL;
    for (const char *at = end != NULL ? text.data + text.start : NULL; good && at < end;) {
        struct line line;
        size_t size = strcspn(at, "\n");
        enum line_kind kind = parse_line(at, size, &line);
        at += size + 1;
        good = kind != LINE_BAD;
        if (kind == LINE_HOST && strcmp(line.name, name) == 0)
            take(user, line.pin);
    }
    if (end != NULL)
        free(text.data);
    return good;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Other programs hold the lock for a moment only, but a stopped one could hold it for ever. */
static bool lock_in_time(int fd, const char *path)
{
    for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited_ms += LOCK_RETRY_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            report("cannot lock '%s': %s", path, strerror(errno));
            return false;
        }
        if (waited_ms >= LOCK_WAIT_MS) {
            report("another program has kept '%s' locked for %d s; end it, and try again", path,
                   LOCK_WAIT_MS / 1000);
            return false;
        }
        (void)usleep(LOCK_RETRY_MS * 1000);
    }
    return true;
}

/* The file is replaced as a whole, so the lock is a file of its own. -1: the reason was
 * reported. */
static int lock(const char *file)
{
    char *path = NULL;
    if (asprintf(&path, "%s.lock", file) < 0) {
        report("out of memory");
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        report("cannot lock '%s': %s", path, strerror(errno));
    if (fd >= 0 && !lock_in_time(fd, path)) {
        (void)close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

static bool make_folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    if (slash == NULL || slash == file)
        return true;
    char *folder = strndup(file, (size_t)(slash - file));
    if (folder == NULL) {
        report("out of memory");
        return false;
    }
    bool made = draft_make_folder(folder, false);
    free(folder);
    return made;
}

static bool replace(const char *file, const char *data, size_t size)
{
    struct draft draft;
    if (!draft_open(&draft, file, data, size, 0600))
        return false;
    bool done = draft_publish(&draft, true);
    draft_close(&draft);
    return done;
}

static bool append(const char *file, const char *name, const char *pin)
{
    struct known_host known = {0};
    struct text text;
    char *longer = NULL;
    bool done = false;
    if (!read_text(file, &text))
        return false;
    enum known_hosts_answer answer =
        text.data == NULL ? KNOWN_HOSTS_NEVER : search(&text, file, name, pin, &known);
    if (answer != KNOWN_HOSTS_NEVER) { /* another program has added it */
        if (answer == KNOWN_HOSTS_OTHER)
            report("%s:%zu: another key of %s was added meanwhile", file, known.line, name);
        done = answer == KNOWN_HOSTS_SAME;
        goto out;
    }
    bool open_end = text.size > 0 && text.data[text.size - 1] != '\n';
    int length = asprintf(&longer, "%s%s%s " PIN_PREFIX "%s\n", text.data != NULL ? text.data : "",
                          open_end ? "\n" : "", name, pin);
    if (length < 0) {
        longer = NULL;
        report("out of memory");
        goto out;
    }
    done = replace(file, longer, (size_t)length);
out:
    free(longer);
    free(text.data);
    return done;
}

bool known_hosts_add(const char *file, const char *name, const char *pin)
{
    if (!make_folder_of(file))
        return false;
    int fd = lock(file);
    if (fd < 0)
        return false;
    bool added = append(file, name, pin);
    (void)close(fd);
    return added;
}

/* Removes the server's lines. All others stay, even malformed ones. */
static size_t cut_lines(struct text *text, const char *name)
{
    size_t removed = 0;
    size_t kept = text->start;
    for (size_t at = text->start; at < text->size;) {
        struct line line;
        size_t size = strcspn(text->data + at, "\n");
        bool cut =
            parse_line(text->data + at, size, &line) == LINE_HOST && strcmp(line.name, name) == 0;
        size += text->data[at + size] == '\n';
        removed += cut;
        if (!cut) {
            memmove(text->data + kept, text->data + at, size);
            kept += size;
        }
        at += size;
    }
    text->size = kept;
    return removed;
}

bool known_hosts_remove(const char *file, const char *name, size_t *removed)
{
    struct text text;
    *removed = 0;
    if (access(file, F_OK) != 0 && errno == ENOENT)
        return true;
    int fd = lock(file);
    if (fd < 0)
        return false;
    bool done = read_text(file, &text);
    if (done && text.data != NULL) {
        *removed = cut_lines(&text, name);
        done = *removed == 0 || replace(file, text.data, text.size);
        free(text.data);
    }
    (void)close(fd);
    return done;
}
