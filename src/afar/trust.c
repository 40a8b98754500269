#include "afar/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <afar/afar.h>

#include "afar/report.h"

enum { ANSWER_BYTES = 16 };

bool trust_open(struct trust *trust, const char *file, const char *url)
{
    *trust = (struct trust){0};
    if (!known_hosts_name(url, trust->name))
        trust->name[0] = '\0'; /* then connecting fails before a key is checked */
    if (file == NULL)
        return true;
    trust->file = strdup(file);
    if (trust->file == NULL) {
        report("out of memory");
        return false;
    }
    if (trust->name[0] == '\0')
        return true;
    switch (known_hosts_look_up(file, trust->name, NULL, &trust->known)) {
    case KNOWN_HOSTS_SAME:
    case KNOWN_HOSTS_OTHER:
        trust->has_keys = true;
        return true;
    case KNOWN_HOSTS_NEVER:
        return true;
    case KNOWN_HOSTS_BROKEN:
        break;
    }
    trust_close(trust);
    return false;
}

void trust_close(struct trust *trust)
{
    free(trust->file);
    *trust = (struct trust){0};
}

bool trust_check(void *user, const char *server_name, const char *pin)
{
    struct trust *trust = user;
    (void)server_name; /* compare trust->name, which includes the port */
    trust->asked = true;
    (void)snprintf(trust->pin, sizeof trust->pin, "%s", pin);
    trust->answer = KNOWN_HOSTS_NEVER;
    if (trust->name[0] == '\0')
        return false;
    if (trust->file != NULL)
        trust->answer = known_hosts_look_up(trust->file, trust->name, pin, &trust->known);
    return trust->answer == KNOWN_HOSTS_SAME;
}

/* ---- a person -------------------------------------------------------------------------------- */

/* Opens the terminal: an answer must not come from a pipe, as in ssh(1). -1: none. */
static int open_terminal(void)
{
    if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)
        return -1;
    return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

/* Reads a line, and keeps its first bytes. */
static void read_line(int fd, char line[ANSWER_BYTES])
{
    size_t used = 0;
    char byte = '\0';
    for (;;) {
        ssize_t got = read(fd, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            used = 0; /* an incomplete answer is no answer */
        if (got <= 0 || byte == '\n')
            break;
        if (used < ANSWER_BYTES - 1)
            line[used++] = byte;
    }
    line[used] = '\0';
}

static bool ask(int terminal, const struct trust *trust)
{
    char answer[ANSWER_BYTES];
    char name[2 * KNOWN_HOSTS_NAME_BYTES];
    afar_escape(name, sizeof name, trust->name, AFAR_ESCAPE_TERMINAL);
    if (dprintf(terminal,
                "No CA vouches for the server %s, and its key is not known:\n"
                "    sha256:%s\n"
                "On the server, 'afar pin' with its certificate shows what it should be.\n"
                "Go on, and remember it? [y/N] ",
                name, trust->pin) < 0)
        return false;
    read_line(terminal, answer);
    return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

/* ---- what comes of it ------------------------------------------------------------------------ */

static void refuse_unknown(const struct trust *trust)
{
    report("%s: no CA vouches for this server, and its key is not known: sha256:%s", trust->name,
           trust->pin);
    if (trust->file != NULL)
        report("if 'afar pin' shows the same for its certificate there, add --pin sha256:%s, or "
               "the line '%s sha256:%s' to %s; --ca names a CA to trust",
               trust->pin, trust->name, trust->pin, trust->file);
    else
        report("if 'afar pin' shows the same for its certificate there, add --pin sha256:%s; --ca "
               "names a CA to trust",
               trust->pin);
}

static void refuse_changed(const struct trust *trust)
{
    report("WARNING: THE KEY OF %s HAS CHANGED: something else may be answering in its place, and "
           "listening",
           trust->name);
    report("it shows    sha256:%s", trust->pin);
    report("known is    sha256:%s (%s, line %zu)", trust->known.pin, trust->file,
           trust->known.line);
    report("nothing was sent; if the server has a new key, and 'afar pin' shows it there: afar "
           "forget %s",
           trust->name);
}

static enum trust_next settle_unknown(const struct trust *trust)
{
    int terminal = trust->file != NULL ? open_terminal() : -1;
    if (terminal < 0) {
        refuse_unknown(trust);
        return TRUST_STOP;
    }
    bool yes = ask(terminal, trust);
    (void)close(terminal);
    if (!yes) {
        report("%s: its key was not accepted", trust->name);
        return TRUST_STOP;
    }
    if (!known_hosts_add(trust->file, trust->name, trust->pin))
        return TRUST_STOP;
    report("%s: its key is remembered in %s", trust->name, trust->file);
    return TRUST_AGAIN;
}

enum trust_next trust_settle(struct trust *trust)
{
    bool asked = trust->asked;
    trust->asked = false;
    if (!asked || trust->name[0] == '\0')
        return TRUST_SAY_WHY;
    switch (trust->answer) {
    case KNOWN_HOSTS_SAME:
        return TRUST_SAY_WHY;
    case KNOWN_HOSTS_NEVER:
        return settle_unknown(trust);
    case KNOWN_HOSTS_OTHER:
        refuse_changed(trust);
        return TRUST_STOP;
    case KNOWN_HOSTS_BROKEN:
        return TRUST_STOP;
    }
    return TRUST_SAY_WHY;
}
