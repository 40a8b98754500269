#include "afar/commands.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <afar/keygen.h>

#include "afar/draft.h"
#include "afar/options.h"
#include "afar/paths.h"
#include "afar/pin_text.h"
#include "afar/report.h"

static const char help[] =
    "usage: afar keygen [options]\n"
    "\n"
    "Makes a key and a certificate that needs no CA, and prints the lines for the server's\n"
    "afard.conf that let it in.\n"
    "\n"
    "      --out DIR         write cert.pem and key.pem here (~/.config/afar, where 'afar run' "
    "looks)\n"
    "      --name NAME       whose key it is (user@host)\n"
    "      --host NAME[,NAME...]\n"
    "                        make a server's: server.pem and server-key.pem, for these names and\n"
    "                        addresses; prints how a client connects to it\n"
    "      --days N          how long the certificate is valid (3650)\n"
    "      --force           replace what is there\n"
    "\n"
    "  afar keygen\n"
    "  afar keygen --host build7.example.org,192.0.2.7 --out /etc/afar\n";

/* As afard has it: policy/rules.c. */
enum { RULE_NAME_MAX_BYTES = 39 };

struct files {
    char *cert;
    char *key;
};

/* ---- who ----------------------------------------------------------------------------------------
 */

static void default_name(char name[AFAR_NAME_MAX_BYTES + 1])
{
    char host[AFAR_NAME_MAX_BYTES + 1] = "";
    const struct passwd *user = getpwuid(geteuid());
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    (void)snprintf(name, AFAR_NAME_MAX_BYTES + 1, "%.31s@%.32s",
                   user != NULL ? user->pw_name : "user", host[0] != '\0' ? host : "host");
}

/* The rule's name is there to be read; it need not be the certificate's to the letter. */
static void print_rule(const char *name, const char *pin)
{
    char rule[RULE_NAME_MAX_BYTES + 1];
    (void)snprintf(rule, sizeof rule, "%s", name);
    for (char *at = rule; *at != '\0'; at++) {
        bool plain = isalnum((unsigned char)*at) != 0 || strchr("_.-", *at) != NULL;
        *at = plain ? *at : '-';
    }
    (void)printf("[allow %s]\nclient = pin:" PIN_PREFIX "%s\ncommand = **\n", rule, pin);
}

static void print_host(const char *host, const char *pin)
{
    bool v6 = strchr(host, ':') != NULL;
    (void)printf("afar run --pin " PIN_PREFIX "%s %s%s%s -- true\n", pin, v6 ? "[" : "", host,
                 v6 ? "]" : "");
}

/* ---- the files ----------------------------------------------------------------------------------
 */

static void files_close(struct files *files)
{
    free(files->cert);
    free(files->key);
    *files = (struct files){0};
}

static bool name_files(struct files *files, const struct options *options)
{
    bool server = options->hosts != NULL;
    char *folder = NULL;
    bool named = false;
    if (options->out == NULL && !config_file_path("", &folder))
        goto out;
    if (options->out == NULL && folder == NULL) {
        report("keygen: there is no home to write to; --out DIR says where");
        return false;
    }
    if (options->out != NULL && asprintf(&folder, "%s/", options->out) < 0) {
        folder = NULL;
        goto out;
    }
    if (asprintf(&files->cert, "%s%s", folder, server ? "server.pem" : "cert.pem") < 0) {
        files->cert = NULL;
        goto out;
    }
    if (asprintf(&files->key, "%s%s", folder, server ? "server-key.pem" : "key.pem") < 0) {
        files->key = NULL;
        goto out;
    }
    named = true;
out:
    if (!named)
        report("out of memory");
    if (named)
        named = draft_make_folder(folder);
    free(folder);
    return named;
}

static bool check_free(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return true;
    report("keygen: '%s' is there already; --force replaces it, and then nobody knows you by the "
           "old key",
           path);
    return false;
}

/* Both are complete before either is in its place; the key comes first, so that of two at once the
 * second fails there. */
static bool save(const struct files *files, const struct afar_identity *identity, bool force)
{
    struct draft key = {0};
    struct draft cert = {0};
    bool saved = false;
    if (!draft_open(&key, files->key, identity->key_pem, strlen(identity->key_pem), 0600) ||
        !draft_open(&cert, files->cert, identity->cert_pem, strlen(identity->cert_pem), 0644) ||
        !draft_publish(&key, force))
        goto out;
    saved = draft_publish(&cert, force);
    if (!saved && !force)
        (void)unlink(files->key); /* it is ours */
out:
    draft_close(&key);
    draft_close(&cert);
    return saved;
}

/* ---- the subcommand -----------------------------------------------------------------------------
 */

static bool tell(const struct files *files, const struct options *options, const char *name,
                 const char *pin)
{
    if (options->hosts != NULL) {
        report("made the server's key '%s' and its certificate '%s' (tls_key and tls_cert in "
               "afard.conf); clients know it by:",
               files->key, files->cert);
        print_host(options->hosts[0], pin);
    } else {
        report("made the key '%s' and its certificate '%s'; these lines in the server's afard.conf "
               "let it in:",
               files->key, files->cert);
        print_rule(name, pin);
    }
    if (fflush(stdout) == 0)
        return true;
    report("cannot write to standard output");
    return false;
}

static int make(const struct options *options)
{
    char name[AFAR_NAME_MAX_BYTES + 1];
    struct afar_keygen_options wanted =
        AFAR_KEYGEN_OPTIONS_INIT(.name = options->name, .hosts = options->hosts,
                                 .days = options->days);
    struct afar_identity identity = AFAR_IDENTITY_INIT();
    struct afar_error err = {0};
    struct files files = {0};
    int status = STATUS_FAILED;
    default_name(name);
    if (options->hosts != NULL)
        (void)snprintf(name, sizeof name, "%s", options->hosts[0]);
    if (wanted.name == NULL)
        wanted.name = name;
    if (afar_keygen(&identity, &wanted, &err) != AFAR_OK) {
        report("keygen: %s", err.message);
        return status;
    }
    if (!name_files(&files, options))
        goto out;
    if (!options->force && (!check_free(files.key) || !check_free(files.cert)))
        goto out;
    if (save(&files, &identity, options->force) && tell(&files, options, wanted.name, identity.pin))
        status = 0;
out:
    files_close(&files);
    afar_identity_close(&identity);
    return status;
}

int keygen_main(int argc, char **argv)
{
    struct options options;
    int status = STATUS_FAILED;
    enum options_result result =
        options_parse(&options, OPTIONS_KEYGEN | OPTIONS_NO_HOST, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL)
        report("keygen: '%s' is one word too many; try 'afar keygen --help'", options.words[0]);
    else
        status = make(&options);
out:
    options_close(&options);
    return status;
}
