#include "afar/ssh/config_file.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "afar/ssh/keywords.h"

static bool is_read(const struct ssh_keyword *keyword)
{
    static const char *const names[] = {"HostName", "Port",    "User",
                                        "SetEnv",   "SendEnv", "ConnectTimeout"};
    for (size_t i = 0; keyword != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(keyword->name, names[i]) == 0)
            return true;
    }
    return false;
}

/* "web* !web3": true if a pattern matches the host, and none with '!' does. */
static bool is_for(char *patterns, const char *host)
{
    bool match = false;
    char *rest = NULL;
    for (char *word = strtok_r(patterns, " \t,=\"", &rest); word != NULL;
         word = strtok_r(NULL, " \t,=\"", &rest)) {
        bool denied = word[0] == '!';
        if (fnmatch(word + (denied ? 1 : 0), host, 0) != 0)
            continue;
        if (denied)
            return false;
        match = true;
    }
    return match;
}

/* Ends the line before a comment: '#' at the beginning of a word that is not in quotes. */
static void cut_comment(char *line)
{
    char quote = '\0';
    for (char *at = line; *at != '\0'; at++) {
        const bool begins = at == line || strchr(" \t", at[-1]) != NULL;
        if (*at == '#' && quote == '\0' && begins) {
            *at = '\0';
            return;
        }
        if (*at == quote)
            quote = '\0';
        else if (quote == '\0' && (*at == '"' || *at == '\''))
            quote = *at;
    }
}

bool ssh_config_apply(struct ssh_options *options, char *text, const char *path, const char *host,
                      char message[SSH_MESSAGE_BYTES])
{
    bool for_host = true;
    unsigned number = 0;
    char *next = text;
    for (char *line = strsep(&next, "\n"); line != NULL; line = strsep(&next, "\n")) {
        char where[300];
        number++;
        line += strspn(line, " \t\r");
        cut_comment(line);
        size_t size = strcspn(line, " \t=\r");
        if (size == 0)
            continue;
        if (size == 4 && strncasecmp(line, "Host", size) == 0) {
            line[strcspn(line, "\r")] = '\0';
            for_host = is_for(line + size, host);
            continue;
        }
        if (size == 5 && strncasecmp(line, "Match", size) == 0) {
            for_host = false; /* conditions of Match are not supported */
            continue;
        }
        const struct ssh_keyword *keyword = ssh_keyword_find(line, size);
        (void)snprintf(where, sizeof where, "%s line %u", path, number);
        if (!for_host)
            continue;
        if (is_read(keyword)) {
            if (!ssh_options_set(options, line, where, message))
                return false;
        } else if (!ssh_words_add(&options->list[keyword == NULL ? SSH_UNKNOWN : SSH_IGNORED], line,
                                  size)) {
            (void)snprintf(message, SSH_MESSAGE_BYTES, "out of memory");
            return false;
        }
    }
    return true;
}

bool ssh_config_read(struct ssh_options *options, const char *path, const char *host,
                     char message[SSH_MESSAGE_BYTES])
{
    if (strcmp(path, "none") == 0 || strcmp(path, "/dev/null") == 0)
        return true;
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : malloc(SSH_CONFIG_BYTES);
    size_t size = text == NULL ? 0 : fread(text, 1, SSH_CONFIG_BYTES, file);
    bool good = text != NULL && ferror(file) == 0 && size < SSH_CONFIG_BYTES;
    if (good) {
        text[size] = '\0';
        good = ssh_config_apply(options, text, path, host, message);
    } else {
        (void)snprintf(message, SSH_MESSAGE_BYTES, "Can't open user config file %.300s: %s", path,
                       size == SSH_CONFIG_BYTES ? "it is larger than 1 MiB" : strerror(errno));
    }
    free(text);
    if (file != NULL)
        (void)fclose(file);
    return good;
}
