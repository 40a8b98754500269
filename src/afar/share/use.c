#include "afar/share/use.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "afar/share/key.h"
#include "afar/share/place.h"

enum { WORDS_MAX = 24, TIME_BYTES = 32, PIN_TEXT_BYTES = AFAR_PIN_BYTES + 8 };

/* This program, even if its file was replaced meanwhile. */
static const char program[] = "/proc/self/exe";

bool share_connect(struct remote *remote)
{
    struct share_key key;
    struct afar_client *client = NULL;
    struct afar_pong pong = AFAR_PONG_INIT();
    if (!share_key_make(&key, remote))
        return false;
    int fd = share_place_dial(&key, NULL);
    share_key_close(&key);
    if (fd < 0)
        return false;
    const struct afar_route by =
        AFAR_ROUTE_INIT(.timeout_ms = remote->connect_timeout_ms, .stream = fd, .ready = true);
    if (afar_connect_by(&client, NULL, remote->url, &by, NULL) != AFAR_OK)
        return false;
    if (afar_ping(client, SHARE_PATIENCE_MS, &pong, NULL) != AFAR_OK) {
        afar_close(client);
        return false;
    }
    remote->client = client;
    return true;
}

/* ---- beginning one --------------------------------------------------------------------------- */

struct words {
    const char *word[WORDS_MAX];
    size_t count;
    char *made[4]; /* owned */
    char share[TIME_BYTES];
    char timeout[TIME_BYTES];
    char pin[PIN_TEXT_BYTES];
};

static void add(struct words *words, const char *option, const char *value)
{
    words->word[words->count++] = option;
    words->word[words->count++] = value;
}

static bool add_file(struct words *words, int which, const char *option, const char *path)
{
    if (path == NULL)
        return true;
    words->made[which] = share_absolute(path);
    add(words, option, words->made[which]);
    return words->made[which] != NULL;
}

/* A duration as options.c reads it. */
static const char *time_text(char text[TIME_BYTES], int64_t ms)
{
    const int64_t most = 999999999;
    if (ms <= most)
        (void)snprintf(text, TIME_BYTES, "%lldms", (long long)ms);
    else
        (void)snprintf(text, TIME_BYTES, "%lld", (long long)(ms / 1000 < most ? ms / 1000 : most));
    return text;
}

static bool make_words(struct words *words, const struct remote *remote)
{
    const struct credential_paths *paths = &remote->paths;
    words->word[words->count++] = "afar";
    words->word[words->count++] = "share";
    words->word[words->count++] = "--serve";
    add(words, "--share", time_text(words->share, remote->share_ms));
    add(words, "--connect-timeout", time_text(words->timeout, remote->connect_timeout_ms));
    if (paths->pin[0] != '\0') {
        (void)snprintf(words->pin, sizeof words->pin, "sha256:%s", paths->pin);
        add(words, "--pin", words->pin);
    }
    bool made = add_file(words, 0, "--ca", paths->ca) &&
                add_file(words, 1, "--cert", paths->cert) &&
                add_file(words, 2, "--key", paths->key);
    /* The URL, not a name from the file of hosts: the entry was applied already. */
    const char *scheme = strstr(remote->url, "://") == NULL ? "tls://" : "";
    if (asprintf(&words->made[3], "%s%s", scheme, remote->url) < 0)
        words->made[3] = NULL;
    words->word[words->count++] = words->made[3];
    words->word[words->count] = NULL;
    return made && words->made[3] != NULL;
}

/* In the grandchild: no parent, no terminal, no open descriptors. */
static void become(const struct words *words)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0 || chdir("/") != 0)
        _exit(127);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)execv(program, (char **)(uintptr_t)words->word);
    _exit(127);
}

static void spawn(const struct words *words)
{
    pid_t child = fork();
    if (child == 0) {
        (void)setsid();
        pid_t grandchild = fork();
        if (grandchild == 0)
            become(words);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void share_begin(const struct remote *remote)
{
    struct share_key key;
    struct words words = {0};
    if (!share_key_make(&key, remote))
        return;
    if (!share_place_taken(&key) && make_words(&words, remote))
        spawn(&words);
    for (size_t i = 0; i < sizeof words.made / sizeof words.made[0]; i++)
        free(words.made[i]);
    share_key_close(&key);
}

bool share_is_possible(const struct remote *remote)
{
    struct share_key key;
    if (!share_key_make(&key, remote))
        return false;
    bool possible = share_place_is_usable(&key);
    share_key_close(&key);
    return possible;
}

pid_t share_find(const struct remote *remote)
{
    struct share_key key;
    pid_t pid = 0;
    if (!share_key_make(&key, remote))
        return 0;
    int fd = share_place_dial(&key, &pid);
    if (fd >= 0)
        (void)close(fd);
    share_key_close(&key);
    return fd >= 0 ? pid : 0;
}

pid_t share_find_any(const struct remote *remote)
{
    struct share_key key;
    pid_t pid = share_find(remote);
    if (pid > 0 || !share_key_make(&key, remote))
        return pid;
    pid = share_place_holder(&key);
    share_key_close(&key);
    return pid;
}
