#include "afar/share/key.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/known_hosts.h"

/* FNV-1a, used twice from different beginnings. It only names files; the text is compared. */
static uint64_t hash(const char *text, size_t size, uint64_t sum)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return sum;
}

char *share_absolute(const char *path)
{
    char *made = NULL;
    if (path[0] == '/')
        return strdup(path);
    char *here = getcwd(NULL, 0);
    if (here != NULL && asprintf(&made, "%s/%s", here, path) < 0)
        made = NULL;
    free(here);
    return made;
}

static bool add_file(FILE *out, const char *what, const char *path)
{
    struct stat found;
    if (path == NULL)
        return fprintf(out, "%s -\n", what) > 0;
    char *whole = share_absolute(path);
    if (whole == NULL)
        return false;
    if (stat(path, &found) != 0)
        found = (struct stat){0};
    bool added =
        fprintf(out, "%s %s %ju %ju %jd %jd.%ld %jd.%ld\n", what, whole, (uintmax_t)found.st_dev,
                (uintmax_t)found.st_ino, (intmax_t)found.st_size, (intmax_t)found.st_mtim.tv_sec,
                found.st_mtim.tv_nsec, (intmax_t)found.st_ctim.tv_sec, found.st_ctim.tv_nsec) > 0;
    free(whole);
    return added;
}

/* What OpenSSL reads from the environment: its configuration, and where the system's CAs are. */
static bool add_environment(FILE *out)
{
    static const char *const names[] = {"OPENSSL_CONF", "SSL_CERT_FILE", "SSL_CERT_DIR"};
    bool added = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        added = added && add_file(out, names[i], getenv(names[i]));
    return added;
}

static void add_known(void *user, const char *pin)
{
    FILE *out = user;
    (void)fprintf(out, "known sha256:%s\n", pin); /* ferror() reports a failure later */
}

static bool add_credentials(FILE *out, const struct remote *remote)
{
    const struct credential_paths *paths = &remote->paths;
    if (!remote->secure)
        return true;
    return add_file(out, "ca", paths->ca) && add_file(out, "cert", paths->cert) &&
           add_file(out, "key", paths->key) && fprintf(out, "pin %s\n", paths->pin) > 0 &&
           fprintf(out, "name %s\n", remote->trust.name) > 0 && add_environment(out) &&
           (paths->known_hosts == NULL || remote->trust.name[0] == '\0' ||
            known_hosts_each(paths->known_hosts, remote->trust.name, add_known, out));
}

/* Only TLS and TCP: a Unix socket is fast enough, and the tutorial's protocols have no requests
 * that end. */
static bool may_share(const char *url)
{
    if (strchr(url, '?') != NULL || strchr(url, '\n') != NULL)
        return false;
    return strstr(url, "://") == NULL || strncasecmp(url, "tls://", 6) == 0 ||
           strncasecmp(url, "tcp://", 6) == 0;
}

bool share_key_make(struct share_key *key, const struct remote *remote)
{
    *key = (struct share_key){0};
    if (!may_share(remote->url))
        return false;
    FILE *out = open_memstream(&key->text, &key->size);
    if (out == NULL)
        return false;
    const char *scheme = strstr(remote->url, "://") == NULL ? "tls://" : "";
    bool made = fprintf(out, "%s%s\nafar %s\n", scheme, remote->url, afar_version()) > 0 &&
                add_credentials(out, remote);
    made = ferror(out) == 0 && made;
    made = fclose(out) == 0 && made;
    if (!made) {
        share_key_close(key);
        return false;
    }
    (void)snprintf(key->name, sizeof key->name, "%016jx%016jx",
                   (uintmax_t)hash(key->text, key->size, UINT64_C(0xcbf29ce484222325)),
                   (uintmax_t)hash(key->text, key->size, UINT64_C(0x9e3779b97f4a7c15)));
    return true;
}

bool share_key_copy(struct share_key *key, const struct share_key *other)
{
    *key = *other;
    key->text = malloc(other->size + 1);
    if (key->text == NULL)
        return false;
    memcpy(key->text, other->text, other->size + 1);
    return true;
}

void share_key_close(struct share_key *key)
{
    free(key->text);
    *key = (struct share_key){0};
}

bool share_key_equal(const struct share_key *one, const struct share_key *other)
{
    return one->size == other->size && memcmp(one->text, other->text, one->size) == 0;
}
