#include "afar/ssh/run.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <afar/afar.h>

#include "afar/report.h"
#include "afar/ssh/keywords.h"

/* Programs search this for "OpenSSH", and for a version that has what they need. */
int ssh_show_version(void)
{
    report_plain("OpenSSH_9.2p1 Afar_%s, OpenSSL 3", afar_version());
    return 0;
}

static int flush(void)
{
    return fflush(stdout) == 0 ? 0 : SSH_STATUS_FAILED;
}

/* The other lists are about SSH's algorithms, and do not apply to TLS: they are empty. */
int ssh_show_query(const char *query)
{
    if (strcmp(query, "protocol-version") == 0)
        (void)puts("2");
    return flush();
}

const char *ssh_own_name(void)
{
    const struct passwd *entry = getpwuid(getuid()); // NOLINT(concurrency-mt-unsafe)
    const char *name = getenv("USER");
    if (entry != NULL)
        return entry->pw_name;
    return name != NULL ? name : "nobody";
}

static void print_value(const char *keyword, const char *value)
{
    for (; *keyword != '\0'; keyword++)
        (void)putchar(tolower((unsigned char)*keyword));
    (void)printf(" %s\n", value);
}

int ssh_show_config(struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const char *user = options->value[SSH_USER];
    const bool is_local = strncasecmp(run->url, "unix", 4) == 0;
    ssh_split_url(run);
    for (char *at = run->proxy_host; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    print_value("user", user != NULL ? user : ssh_own_name());
    print_value("hostname", is_local ? run->destination.host : run->proxy_host);
    print_value("port", is_local ? "7420" : run->proxy_port);
    (void)printf("batchmode yes\n");
    for (unsigned i = 0; i < SSH_VALUES; i++) {
        bool is_shown = i == SSH_USER || i == SSH_HOST_NAME || i == SSH_PORT || i == SSH_BATCH_MODE;
        if (options->value[i] != NULL && !is_shown)
            print_value(ssh_keyword_name((enum ssh_value)i), options->value[i]);
    }
    for (size_t i = 0; i < options->list[SSH_IDENTITY_FILE].count; i++)
        print_value("identityfile", options->list[SSH_IDENTITY_FILE].at[i]);
    for (size_t i = 0; i < options->list[SSH_SEND_ENV].count; i++)
        print_value("sendenv", options->list[SSH_SEND_ENV].at[i]);
    for (size_t i = 0; i < options->list[SSH_SET_ENV].count; i++)
        print_value("setenv", options->list[SSH_SET_ENV].at[i]);
    return flush();
}
