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
    "      --host NAME[,NAME...]\n"
    "                        make a server's: server.pem and server-key.pem, for these names and\n"
    "                        addresses; prints how a client connects to it\n"
    "      --out DIR         write here (a client's to ~/.config/afar, where 'afar run' looks;\n"
    "                        a server's to /etc/afar)\n"
    "      --name NAME       whose key it is (user@host)\n"
    "      --days N          how long the certificate is valid (3650)\n"
    "      --force           replace what is there\n"
    "\n"
    "on the server and then on the client:\n"
    "  sudo afar keygen --host build7.example.org,192.0.2.7\n"
    "  afar keygen\n";

/* As in policy/rules.c. */
enum { RULE_NAME_MAX_BYTES = 39 };

/* The configuration folder of afard.service. */
static const char server_folder[] = "/etc/afar";

struct files {
    char *cert;
    char *key;
};

/* ---- who ------------------------------------------------------------------------------------- */

static void default_name(char name[AFAR_NAME_MAX_BYTES + 1])
{
    char host[AFAR_NAME_MAX_BYTES + 1] = "";
    const struct passwd *user = getpwuid(geteuid());
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    (void)snprintf(name, AFAR_NAME_MAX_BYTES + 1, "%.31s@%.32s",
                   user != NULL ? user->pw_name : "user", host[0] != '\0' ? host : "host");
}

/* The rule's name is for people, so it may differ from the certificate's in some characters. */
static void print_rule(const char *name, const char *pin)
{
    char rule[RULE_NAME_MAX_BYTES + 1];
    (void)snprintf(rule, sizeof rule, "%s", name);
    for (char *at = rule; *at != '\0'; at++) {
        bool plain = isalnum((unsigned char)*at) != 0 || strchr("_.-", *at) != NULL;
        *at = plain ? *at : '-';
    }
    (void)printf("[allow %s]\nclient = pin:" PIN_PREFIX "%s\nshell = yes\ncommand = **\n", rule,
                 pin);
}

static void print_host(const char *host, const char *pin)
{
    bool v6 = strchr(host, ':') != NULL;
    (void)printf("afar run --pin " PIN_PREFIX "%s %s%s%s -- true\n", pin, v6 ? "[" : "", host,
                 v6 ? "]" : "");
}

/* ---- the files ------------------------------------------------------------------------------- */

static void files_close(struct files *files)
{
    free(files->cert);
    free(files->key);
    *files = (struct files){0};
}

/* "FOLDER/"; NULL: the reason was reported. */
static char *name_folder(const struct options *options)
{
    char *folder = NULL;
    const char *given = options->out;
    if (given == NULL && options->hosts != NULL)
        given = server_folder;
    if (given != NULL && asprintf(&folder, "%s/", given) < 0)
        folder = NULL;
    else if (given == NULL && config_file_path("", &folder) && folder == NULL) {
        report("keygen: there is no home directory to write to; give --out DIR");
        return NULL;
    }
    if (folder == NULL)
        report("out of memory");
    return folder;
}

static bool name_files(struct files *files, const struct options *options)
{
    bool server = options->hosts != NULL;
    bool named = false;
    char *folder = name_folder(options);
    if (folder == NULL)
        return false;
    if (asprintf(&files->cert, "%s%s", folder, server ? "server.pem" : "cert.pem") < 0)
        files->cert = NULL;
    if (asprintf(&files->key, "%s%s", folder, server ? "server-key.pem" : "key.pem") < 0)
        files->key = NULL;
    if (files->cert == NULL || files->key == NULL)
        report("out of memory");
    else
        /* The server may run as a user other than root. */
        named = draft_make_folder(folder, server && options->out == NULL);
    free(folder);
    return named;
}

static bool check_free(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return true;
    report("keygen: '%s' exists already; --force replaces it, and the old key is lost", path);
    return false;
}

/* Completes both files before giving either its name. The key comes first: of two processes at the
 * same time, the second fails there. */
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
        (void)unlink(files->key); /* we have just made it */
out:
    draft_close(&key);
    draft_close(&cert);
    return saved;
}

/* ---- the subcommand -------------------------------------------------------------------------- */

static void tell_server(const struct files *files, const char *host, const char *pin)
{
    report("made the server's key and its certificate; in afard.conf: tls_key = %s and tls_cert = "
           "%s",
           files->key, files->cert);
    if (geteuid() == 0)
        report("only root can read the key, as afard.service needs; if afard runs as another user: "
               "'chown USER %s'",
               files->key);
    else
        report("only you can read the key; if afard runs as another user: 'chown USER %s'",
               files->key);
    report("next, on each client: 'afar keygen', and put the lines that it prints into this "
           "server's afard.conf; then it connects by:");
    print_host(host, pin);
}

static void tell_client(const struct files *files, const char *name, const char *pin)
{
    report("made the key '%s' and its certificate '%s'", files->key, files->cert);
    report("next, on the server: put these lines into afard.conf, and 'systemctl reload afard' (or "
           "send afard a HUP); they let this key run everything, so narrow them if that is too "
           "much:");
    print_rule(name, pin);
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
    if (!save(&files, &identity, options->force))
        goto out;
    if (options->hosts != NULL)
        tell_server(&files, options->hosts[0], identity.pin);
    else
        tell_client(&files, wanted.name, identity.pin);
    if (fflush(stdout) == 0)
        status = 0;
    else
        report("cannot write to standard output");
out:
    files_close(&files);
    afar_identity_close(&identity);
    return status;
}

int keygen_main(int argc, char **argv)
{
    struct options options;
    int status = STATUS_FAILED;
    afar_begin_program();
    enum options_result result =
        options_parse(&options, OPTIONS_KEYGEN | OPTIONS_NO_HOST, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL)
        report("keygen: unexpected argument '%s'; try 'afar keygen --help'", options.words[0]);
    else
        status = make(&options);
out:
    options_close(&options);
    return status;
}
