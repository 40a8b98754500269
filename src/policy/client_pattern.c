#include "policy/client_pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/users.h"

enum { SHOWN_BYTES = 80, PIN_DIGITS = 64 };

static const char pin_prefix[] = "pin:sha256:";

static const struct kind {
    const char *prefix;
    char separator;
    bool fold;
} globs[] = {
    {"uri:", '/', false},
    {"dns:", '.', true},
    {"email:", '@', false},
    {"cn:", '\0', false},
};

static enum afar_status keep(struct client_pattern *pattern, const char *text,
                             struct afar_error *err)
{
    pattern->text = strdup(text);
    return pattern->text != NULL ? AFAR_OK : afar_fail(err, AFAR_ENOMEM, "out of memory");
}

static enum afar_status parse_pin(struct client_pattern *pattern, const char *text,
                                  struct afar_error *err)
{
    const char *digits = text + sizeof pin_prefix - 1;
    if (strspn(digits, "0123456789abcdef") != PIN_DIGITS || digits[PIN_DIGITS] != '\0')
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s': expected 64 digits 0-9a-f after pin:sha256:", SHOWN_BYTES, text);
    return keep(pattern, text, err);
}

/* "uid:www-data" becomes "uid:33". */
static enum afar_status parse_number(struct client_pattern *pattern, const char *text,
                                     struct afar_error *err)
{
    char made[32];
    unsigned id = 0;
    enum afar_status status = text[0] == 'u' ? users_find_id(text + 4, &id, err)
                                             : users_find_group_id(text + 4, &id, err);
    if (status != AFAR_OK)
        return status;
    (void)snprintf(made, sizeof made, "%.4s%u", text, id);
    return keep(pattern, made, err);
}

enum afar_status client_pattern_parse(struct client_pattern *pattern, const char *text,
                                      struct afar_error *err)
{
    *pattern = (struct client_pattern){0};
    if (strcmp(text, "any") == 0 || strcmp(text, "anonymous") == 0)
        return keep(pattern, text, err);
    if (strncmp(text, pin_prefix, sizeof pin_prefix - 1) == 0)
        return parse_pin(pattern, text, err);
    if (strncmp(text, "uid:", 4) == 0 || strncmp(text, "gid:", 4) == 0)
        return parse_number(pattern, text, err);
    for (size_t i = 0; i < sizeof globs / sizeof globs[0]; i++) {
        size_t size = strlen(globs[i].prefix);
        if (strncmp(text, globs[i].prefix, size) != 0 || text[size] == '\0')
            continue;
        pattern->glob = true;
        pattern->separator = globs[i].separator;
        pattern->fold = globs[i].fold;
        return keep(pattern, text, err);
    }
    return afar_fail(err, AFAR_EINVAL,
                     "'%.*s' is not a client: expected uri:…, dns:…, email:…, cn:…, pin:sha256:…, "
                     "uid:…, gid:…, anonymous or any",
                     SHOWN_BYTES, text);
}

enum afar_status client_name_parse(char **name, const char *text, struct afar_error *err)
{
    struct client_pattern pattern;
    *name = NULL;
    if (strcmp(text, "any") == 0)
        return afar_fail(err, AFAR_EINVAL,
                         "'any' means everybody; expected the name of one client");
    enum afar_status status = client_pattern_parse(&pattern, text, err);
    if (status == AFAR_OK)
        *name = pattern.text; /* moved */
    return status;
}

void client_pattern_close(struct client_pattern *pattern)
{
    free(pattern->text);
    pattern->text = NULL;
}

static bool same(char a, char b, bool fold)
{
    return a == b || (fold && tolower((unsigned char)a) == tolower((unsigned char)b));
}

/* Whether `pattern` matches all of `name`. reached[i]: the part of the pattern that was read so far
 * matches the first i bytes of the name. Takes at most the product of both lengths. */
static bool glob(const struct client_pattern *pattern, const char *name, bool *reached)
{
    size_t size = strlen(name);
    memset(reached, 0, size + 1);
    reached[0] = true;
    for (const char *at = pattern->text; *at != '\0'; at++) {
        if (*at != '*') {
            for (size_t i = size; i > 0; i--)
                reached[i] = reached[i - 1] && same(*at, name[i - 1], pattern->fold);
            reached[0] = false;
            continue;
        }
        bool across = pattern->separator == '\0' || at[1] == '*';
        if (at[1] == '*')
            at++;
        for (size_t i = 1; i <= size; i++)
            reached[i] =
                reached[i] || (reached[i - 1] && (across || name[i - 1] != pattern->separator));
    }
    return reached[size];
}

bool client_pattern_match(const struct client_pattern *pattern, char *const *names)
{
    bool reached[CLIENT_NAME_BYTES + 1];
    if (strcmp(pattern->text, "any") == 0)
        return true;
    for (; *names != NULL; names++) {
        if (!pattern->glob && strcmp(*names, pattern->text) == 0)
            return true;
        if (pattern->glob && strlen(*names) <= CLIENT_NAME_BYTES && glob(pattern, *names, reached))
            return true;
    }
    return false;
}

const char *client_pattern_pin(const struct client_pattern *pattern)
{
    bool is_pin = strncmp(pattern->text, pin_prefix, sizeof pin_prefix - 1) == 0;
    return is_pin ? pattern->text + sizeof pin_prefix - 1 : NULL;
}
