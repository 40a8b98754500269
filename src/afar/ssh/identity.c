#include "afar/ssh/run.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afar/report.h"

enum { HEAD_BYTES = 65536 };

/* True if the beginning of the file has `wanted`, and not `unwanted` (may be NULL). */
static bool has_text(const char *path, const char *wanted, const char *unwanted)
{
    FILE *file = fopen(path, "re");
    char *head = file == NULL ? NULL : malloc(HEAD_BYTES + 1);
    bool found = false;
    if (head != NULL) {
        head[fread(head, 1, HEAD_BYTES, file)] = '\0';
        found =
            strstr(head, wanted) != NULL && (unwanted == NULL || strstr(head, unwanted) == NULL);
    }
    free(head);
    if (file != NULL)
        (void)fclose(file);
    return found;
}

/* Finds the certificate of a key: in PATH itself, PATH-cert.pem or PATH.crt; for x-key.pem, x.key
 * and key.pem also under the names that go with these. The caller frees it. NULL: none. */
static char *certificate_beside(const char *path)
{
    static const struct {
        const char *end;
        const char *instead;
    } names[] = {{"", ""},
                 {"", "-cert.pem"},
                 {"", ".crt"},
                 {".key", ".crt"},
                 {".key", ".pem"},
                 {".key", ".cert"},
                 {"key.pem", "cert.pem"},
                 {"_key.pem", ".pem"},
                 {"-key.pem", ".pem"}};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t end = strlen(names[i].end);
        char *beside = NULL;
        if (length < end || strcmp(path + length - end, names[i].end) != 0)
            continue;
        if (asprintf(&beside, "%.*s%s", (int)(length - end), path, names[i].instead) < 0)
            return NULL;
        if (has_text(beside, "-----BEGIN CERTIFICATE-----", NULL))
            return beside;
        free(beside);
    }
    return NULL;
}

/* ---- the path ---------------------------------------------------------------------------------
 */

static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    if (home != NULL && home[0] == '/')
        return home;
    const struct passwd *entry = getpwuid(getuid()); // NOLINT(concurrency-mt-unsafe)
    return entry != NULL ? entry->pw_dir : "/";
}

/* What the two characters at `text` stand for, as in ssh_config(5); NULL: for themselves. `room` is
 * for those that are made. */
static const char *meaning(const struct ssh_run *run, const char *text, char room[256])
{
    const char *user = run->options.value[SSH_USER];
    if (text[0] != '%')
        return NULL;
    switch (text[1]) {
    case '%':
        return "%";
    case 'd':
        return home_folder();
    case 'h':
        return run->proxy_host;
    case 'i':
        (void)snprintf(room, 256, "%u", (unsigned)getuid());
        return room;
    case 'k':
    case 'n':
        return run->destination.host;
    case 'L':
    case 'l':
        if (gethostname(room, 255) != 0)
            return NULL;
        room[text[1] == 'L' ? strcspn(room, ".") : 255] = '\0';
        return room;
    case 'p':
        return run->proxy_port;
    case 'r':
        return user != NULL ? user : ssh_own_name();
    case 'u':
        return ssh_own_name();
    default:
        return NULL;
    }
}

/* Writes the home of "~" or "~user". Returns the rest of the path; all of it if there is none. */
static const char *put_home(FILE *out, const char *text)
{
    char name[256];
    const size_t size = strcspn(text, "/");
    if (text[0] != '~' || size > sizeof name)
        return text;
    (void)snprintf(name, sizeof name, "%.*s", (int)size - 1, text + 1);
    const struct passwd *entry =
        name[0] != '\0' ? getpwnam(name) : NULL; // NOLINT(concurrency-mt-unsafe)
    if (name[0] != '\0' && entry == NULL)
        return text;
    (void)fputs(entry != NULL ? entry->pw_dir : home_folder(), out);
    return text + size;
}

/* Writes the value of "${NAME}", if it is set. Returns the rest; NULL: there is no variable. */
static const char *put_variable(FILE *out, const char *text)
{
    char name[256];
    const size_t size = strcspn(text, "}");
    if (text[0] != '$' || text[1] != '{' || text[size] != '}' || size - 2 >= sizeof name)
        return NULL;
    (void)snprintf(name, sizeof name, "%.*s", (int)size - 2, text + 2);
    const char *value = getenv(name);
    (void)fputs(value != NULL ? value : "", out);
    return text + size + 1;
}

char *ssh_identity_path(const struct ssh_run *run, const char *text)
{
    char *path = NULL;
    char room[256];
    size_t size = 0;
    FILE *out = open_memstream(&path, &size);
    if (out == NULL)
        return NULL;
    text = put_home(out, text);
    while (*text != '\0') {
        const char *instead = meaning(run, text, room);
        const char *rest = put_variable(out, text);
        if (rest != NULL) {
            text = rest;
        } else if (instead != NULL) {
            (void)fputs(instead, out);
            text += 2;
        } else {
            (void)fputc(*text, out);
            text++;
        }
    }
    if (fclose(out) == 0)
        return path;
    free(path);
    return NULL;
}

/* ---- the first that can be used -----------------------------------------------------------------
 */

/* True if the file is used. */
static bool use(struct ssh_run *run, const char *path)
{
    if (!has_text(path, "PRIVATE KEY-----", "OPENSSH PRIVATE KEY")) {
        ssh_debug(run, "identity file %s: not a key that TLS can use, ignored", path);
        return false;
    }
    run->cert_file = certificate_beside(path);
    if (run->cert_file == NULL) {
        ssh_debug(run, "identity file %s: no certificate beside it, ignored", path);
        return false;
    }
    ssh_debug(run, "identity file %s, certificate %s", path, run->cert_file);
    return true;
}

void ssh_identity(struct ssh_run *run)
{
    const struct ssh_words *files = &run->options.list[SSH_IDENTITY_FILE];
    if (files->count > 0)
        ssh_split_url(run);
    for (size_t i = 0; i < files->count; i++) {
        char *path =
            strcmp(files->at[i], "none") == 0 ? NULL : ssh_identity_path(run, files->at[i]);
        if (path != NULL && use(run, path)) {
            run->key_file = path;
            run->connect.key_file = path;
            run->connect.cert_file = run->cert_file;
            return;
        }
        free(path);
    }
}
