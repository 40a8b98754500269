#include "afar/ssh/run.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "afar/report.h"

void ssh_split_url(struct ssh_run *run)
{
    const char *scheme = strstr(run->url, "://");
    const char *host = scheme != NULL ? scheme + 3 : run->url;
    size_t size = strcspn(host, "?/");
    const char *close = memrchr(host, ']', size);
    const char *colon = memrchr(host, ':', size);
    if (colon != NULL && close != NULL && colon < close)
        colon = NULL;
    (void)snprintf(run->proxy_port, sizeof run->proxy_port, "%.*s",
                   colon != NULL ? (int)(host + size - colon - 1) : 4,
                   colon != NULL ? colon + 1 : "7420");
    size_t length = colon != NULL ? (size_t)(colon - host) : size;
    if (length > 1 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    (void)snprintf(run->proxy_host, sizeof run->proxy_host, "%.*s", (int)length, host);
}

bool ssh_route(struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const char *family = options->value[SSH_ADDRESS_FAMILY];
    const char *command = options->value[SSH_PROXY_COMMAND];
    const char *jump = options->value[SSH_PROXY_JUMP];
    const char *user = options->value[SSH_USER];
    if (family != NULL && strcasecmp(family, "inet") == 0)
        run->route.family = 4;
    else if (family != NULL && strcasecmp(family, "inet6") == 0)
        run->route.family = 6;
    else if (family != NULL && strcasecmp(family, "any") != 0) {
        report("AddressFamily '%s': any, inet or inet6 is meant", family);
        return false;
    }
    run->route.local_address = options->value[SSH_BIND_ADDRESS];
    if (command != NULL && strcasecmp(command, "none") != 0) {
        ssh_split_url(run);
        run->proxy = (struct proxy){.command = command,
                                    .host = run->proxy_host,
                                    .port = run->proxy_port,
                                    .user = user != NULL ? user : ssh_own_name(),
                                    .name = run->destination.host};
        run->route.open = proxy_open;
        run->route.user = &run->proxy;
        ssh_debug(run, "Executing proxy command: %s", command);
    }
    if (run->route.open == NULL && jump != NULL && strcasecmp(jump, "none") != 0) {
        if (!jump_init(&run->jump, &run->asked, jump, run->url))
            return false;
        run->jump.family = run->route.family;
        run->jump.local_address = run->route.local_address;
        run->route.open = jump_open;
        run->route.has_said = jump_has_said;
        run->route.user = &run->jump;
        ssh_debug(run, "Jumping by %s", jump);
    }
    run->remote.route = &run->route;
    return true;
}
