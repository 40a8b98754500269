/* config_load: parses the INI file with inih.
 *
 * inih does not tell the handler the line number, and silently drops some input. So it reads its
 * lines through a reader of our own, which counts and checks them first:
 *   - inih takes an indented line as a continuation of the value before. That is rarely meant, so
 *     the reader removes blanks at the beginning of lines.
 *   - inih splits lines longer than its buffer, ends a line at a NUL byte and ignores text after a
 *     section's ']'; the reader reports these as errors. inih does not report sections without
 *     keys; the reader does.
 *   - For inih, '#' begins a comment only at the beginning of a line. The reader also removes a
 *     comment after a blank and '#', except in "…".
 * Unchanged from inih: a ';' after a blank begins a comment (unix:///x;y is kept whole), and ':'
 * can be written for '='. afard.conf(5) documents all this. */
#include "policy/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "policy/config_table.h"
#include "policy/trusted.h"

#if INI_HANDLER_LINENO
#error "inih was built with INI_HANDLER_LINENO: its handler has another signature"
#endif

enum { PATH_SHOWN_BYTES = 200, SECTION_BYTES = 64 };

#define SECTION "server"
#define SECTIONS "[server] or [allow NAME]"

static const char allow[] = "allow";

struct file {
    const char *path;
    FILE *stream;
    struct config *config;
    unsigned line;                      /* the last one that inih was given */
    unsigned first_at[CONFIG_KEYS_MAX]; /* line that set the key of that index; 0: none yet */
    bool rules_only;                    /* named by `include` */
    bool has_rules;
    bool in_rule;            /* the section is an [allow …], else [server] */
    enum afar_status status; /* if it is not AFAR_OK, inih gets no more lines */
    struct afar_error *err;
};

/* Puts file and line in front of the message, and stops. */
static void place_error(struct file *file, enum afar_status status)
{
    file->status = status;
    (void)afar_prefix(file->err, "%.*s:%u", PATH_SHOWN_BYTES, file->path, file->line);
}

/* What follows "allow" in a section's name; NULL: it is another section. */
static const char *rule_name(const char *name)
{
    size_t size = sizeof allow - 1;
    if (strncmp(name, allow, size) != 0 || (name[size] != ' ' && name[size] != '\t'))
        return NULL;
    return name + size + strspn(name + size, " \t");
}

static enum afar_status fail_not_here(struct file *file)
{
    return afar_fail(file->err, AFAR_EINVAL,
                     "a file named by include has only sections [allow NAME]");
}

static enum afar_status begin_rule(struct file *file, const char *name)
{
    struct config *config = file->config;
    if (config->rules == NULL) {
        config->rules = rules_new(file->path);
        if (config->rules == NULL)
            return afar_fail(file->err, AFAR_ENOMEM, "out of memory for a rule");
    } else if (!file->has_rules) {
        enum afar_status status = rules_from(config->rules, file->path, file->err);
        if (status != AFAR_OK)
            return status;
    }
    file->has_rules = true;
    file->in_rule = true;
    return rules_begin(config->rules, name, file->line, file->err);
}

/* `line` begins with '['. */
static enum afar_status begin_section(struct file *file, const char *line)
{
    char section[SECTION_BYTES];
    const char *end = strchr(line, ']');
    if (end == NULL)
        return afar_fail(file->err, AFAR_EINVAL, "']' is missing: expected " SECTIONS);
    size_t size = (size_t)(end - line - 1);
    end += 1 + strspn(end + 1, " \t\r");
    if (*end != '\0' && *end != ';' && *end != '#')
        return afar_fail(file->err, AFAR_EINVAL, "expected the end of the line after '%.*s]'",
                         (int)size + 1, line);
    (void)snprintf(section, sizeof section, "%.*s", (int)size, line + 1);
    file->in_rule = false;
    if (strcmp(section, SECTION) == 0)
        return file->rules_only ? fail_not_here(file) : AFAR_OK;
    const char *name = rule_name(section);
    if (name != NULL && size < sizeof section)
        return begin_rule(file, name);
    return afar_fail(file->err, AFAR_EINVAL, "unknown section [%.*s]: expected " SECTIONS,
                     (int)size, line + 1);
}

/* Appends one byte to `line`, which has *used bytes. Drops blanks at the beginning of a line, and a
 * byte order mark at the beginning of the file. */
static void take_byte(struct file *file, int c, char *line, size_t size, size_t *used)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (*used == 0 && isspace(c))
        return;
    if (*used + 1 >= size) {
        place_error(file, afar_fail(file->err, AFAR_EINVAL,
                                    "the line is longer than %zu bytes, the maximum", size - 1));
        return;
    }
    line[(*used)++] = (char)c;
    if (file->line == 1 && *used == sizeof mark - 1 && memcmp(line, mark, *used) == 0)
        *used = 0;
}

/* Reads one line; of a comment, only its first character. False: end of file, or an error. */
static bool read_line(struct file *file, char *line, size_t size)
{
    size_t used = 0;
    bool any = false; /* the last line may lack its newline */
    int c = getc(file->stream);
    for (; c != EOF && c != '\n' && file->status == AFAR_OK; c = getc(file->stream)) {
        any = true;
        if (c == '\0')
            place_error(file, afar_fail(file->err, AFAR_EINVAL,
                                        "it contains a NUL byte: expected a text file"));
        else if (used == 0 || (line[0] != '#' && line[0] != ';'))
            take_byte(file, c, line, size, &used);
    }
    if (c == EOF && ferror(file->stream)) {
        file->status =
            afar_fail_errno(file->err, errno, "%.*s: cannot be read", PATH_SHOWN_BYTES, file->path);
    }
    line[used] = '\0';
    return file->status == AFAR_OK && (any || c == '\n');
}

/* Removes a comment that begins with a '#' after a blank. */
static void cut_comment(char *line)
{
    bool quoted = false;
    for (char *at = line; *at != '\0'; at++) {
        if (*at == '\\' && quoted && at[1] != '\0') {
            at++;
        } else if (*at == '"') {
            quoted = !quoted;
        } else if (*at == '#' && !quoted && at > line && isspace((unsigned char)at[-1])) {
            *at = '\0';
            return;
        }
    }
}

/* inih's ini_reader: like fgets. */
static char *next_line(char *line, int size, void *user)
{
    struct file *file = user;
    if (file->status != AFAR_OK)
        return NULL;
    file->line++;
    if (!read_line(file, line, (size_t)size))
        return NULL;
    if (line[0] == '[') {
        enum afar_status status = begin_section(file, line);
        if (status != AFAR_OK)
            place_error(file, status);
    } else {
        cut_comment(line);
    }
    return file->status == AFAR_OK ? line : NULL;
}

/* Rejects a key that was given before in this file, as one of the two values would be ignored; but
 * not `listen` and lists, which add. The first `listen` removes those of config_load_defaults. */
static enum afar_status check_first(struct file *file, const char *name)
{
    size_t count = 0;
    const struct config_key *keys = config_keys(&count);
    const struct config_key *key = config_key_find(name);
    if (key == NULL || key->kind == CONFIG_WORDS)
        return AFAR_OK;
    if (key->kind == CONFIG_LISTEN) {
        if (file->config->listen_preset > 0)
            file->config->listen_count = file->config->listen_preset = 0;
        return AFAR_OK;
    }
    unsigned *first_at = &file->first_at[key - keys];
    if (*first_at != 0)
        return afar_fail(file->err, AFAR_EINVAL, "%s: given already in line %u", name, *first_at);
    *first_at = file->line;
    return AFAR_OK;
}

static enum afar_status fail_syntax(struct file *file)
{
    return afar_fail(file->err, AFAR_EINVAL, "expected KEY = VALUE");
}

/* A relative name is relative to this file's folder, not to the server's working directory. */
static enum afar_status set_include(struct file *file, const char *name, const char *value)
{
    const char *slash = strrchr(file->path, '/');
    char *path = NULL;
    if (value[0] == '/' || value[0] == '\0' || slash == NULL)
        return config_set(file->config, name, value, file->err);
    if (asprintf(&path, "%.*s/%s", (int)(slash - file->path), file->path, value) < 0)
        return afar_fail(file->err, AFAR_ENOMEM, "out of memory for a path");
    enum afar_status status = config_set(file->config, name, path, file->err);
    free(path);
    return status;
}

static enum afar_status set_key(struct file *file, const char *name, const char *value)
{
    if (file->rules_only)
        return fail_not_here(file);
    enum afar_status status = check_first(file, name);
    if (status == AFAR_OK && strcmp(name, "include") == 0)
        status = set_include(file, name, value);
    else if (status == AFAR_OK)
        status = config_set(file->config, name, value, file->err);
    return status;
}

/* inih's ini_handler. begin_section has checked the section already. */
static int set_pair(void *user, const char *section, const char *name, const char *value)
{
    struct file *file = user;
    (void)section;
    if (file->status != AFAR_OK)
        return 0;
    enum afar_status status = AFAR_OK;
    if (value == NULL || name[0] == '\0' || strpbrk(name, " \t") != NULL)
        status = fail_syntax(file); /* for inih, "listen tcp://host" has the key "listen tcp" */
    if (status == AFAR_OK && file->in_rule) {
        status = rules_set(file->config->rules, name, value, file->err);
    } else if (status == AFAR_OK) {
        status = set_key(file, name, value);
    }
    if (status != AFAR_OK)
        place_error(file, status);
    return status == AFAR_OK;
}

static enum afar_status open_file(struct file *file)
{
    const char *path = file->path;
    enum afar_status status = AFAR_OK;
    file->stream = fopen(path, "re");
    if (file->stream == NULL)
        return afar_fail_errno(file->err, errno, "%.*s: cannot be read", PATH_SHOWN_BYTES, path);
    if (file->rules_only)
        status = trusted_check(fileno(file->stream), path, file->err);
    if (status == AFAR_OK)
        status = trusted_check_file(fileno(file->stream), path, file->err);
    if (status != AFAR_OK)
        (void)fclose(file->stream);
    return status;
}

static enum afar_status load(struct config *config, const char *path, bool rules_only,
                             struct afar_error *err)
{
    struct file file = {.path = path, .config = config, .rules_only = rules_only, .err = err};
    enum afar_status status = open_file(&file);
    if (status != AFAR_OK)
        return status;
    int failed = ini_parse_stream(next_line, &file, set_pair, &file);
    /* `failed` is the first line that inih or the handler rejected. If no error is known yet, or
     * only one in a later line, inih rejected it: the line is neither empty, a comment, a section
     * nor a pair. */
    if (failed < 0 && file.status == AFAR_OK) {
        file.status = afar_fail(err, AFAR_ENOMEM, "%.*s: out of memory", PATH_SHOWN_BYTES, path);
    } else if (failed > 0 && (file.status == AFAR_OK || (unsigned)failed < file.line)) {
        file.line = (unsigned)failed;
        place_error(&file, fail_syntax(&file));
    }
    (void)fclose(file.stream);
    if (file.status == AFAR_OK) {
        file.status = words_add(&config->files, path, strlen(path), err);
        if (file.status != AFAR_OK)
            (void)afar_prefix(err, "%.*s", PATH_SHOWN_BYTES, path);
    }
    return file.status;
}

enum afar_status config_load(struct config *config, const char *path, struct afar_error *err)
{
    return load(config, path, false, err);
}

enum afar_status config_load_defaults(struct config *config, const char *path,
                                      struct afar_error *err)
{
    enum afar_status status = load(config, path, false, err);
    config->listen_preset = config->listen_count;
    config->include_preset = config->include.count;
    config->user_preset = config->user != NULL;
    config->state_preset = config->state_directory != NULL;
    return status;
}

enum afar_status config_load_rules(struct config *config, const char *path, struct afar_error *err)
{
    return load(config, path, true, err);
}
