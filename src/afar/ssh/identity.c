#include "afar/ssh/run.h"

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

void ssh_identity(struct ssh_run *run)
{
    const char *path = run->options.value[SSH_IDENTITY_FILE];
    if (path == NULL || strcmp(path, "none") == 0)
        return;
    if (!has_text(path, "PRIVATE KEY-----", "OPENSSH PRIVATE KEY")) {
        ssh_debug(run, "identity file %s: not a key that TLS can use, ignored", path);
        return;
    }
    run->cert_file = certificate_beside(path);
    if (run->cert_file == NULL) {
        ssh_debug(run, "identity file %s: no certificate beside it, ignored", path);
        return;
    }
    run->connect.key_file = path;
    run->connect.cert_file = run->cert_file;
    ssh_debug(run, "identity file %s, certificate %s", path, run->cert_file);
}
