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

/* What the two characters at `text` stand for; NULL: for themselves. */
static const char *meaning(const char *text)
{
    if (text[0] != '%')
        return NULL;
    switch (text[1]) {
    case 'd':
        return home_folder();
    case 'u':
        return ssh_own_name();
    case '%':
        return "%";
    default:
        return NULL;
    }
}

char *ssh_identity_path(const char *text)
{
    char *path = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&path, &size);
    if (out == NULL)
        return NULL;
    if (text[0] == '~' && (text[1] == '/' || text[1] == '\0')) {
        (void)fputs(home_folder(), out);
        text++;
    }
    for (; *text != '\0'; text++) {
        const char *instead = meaning(text);
        if (instead == NULL) {
            (void)fputc(*text, out);
            continue;
        }
        (void)fputs(instead, out);
        text++;
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
    for (size_t i = 0; i < files->count; i++) {
        char *path = strcmp(files->at[i], "none") == 0 ? NULL : ssh_identity_path(files->at[i]);
        if (path != NULL && use(run, path)) {
            run->key_file = path;
            run->connect.key_file = path;
            run->connect.cert_file = run->cert_file;
            return;
        }
        free(path);
    }
}
