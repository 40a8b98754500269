#include "keep/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/packed.h"

static const char whom[] = "a keeper";

/* The file: struct head, the groups, then texts, each with its NUL: label, program, cwd, the rule's
 * name, user and chroot, the recording; then argv and env. */
enum {
    TEXT_LABEL,
    TEXT_PROGRAM,
    TEXT_CWD,
    TEXT_RULE,
    TEXT_USER,
    TEXT_CHROOT,
    TEXT_RECORDING,
    TEXTS
};

struct head {
    struct keep_order order; /* its pointers are invalid */
    struct rule rule;        /* its pointers are invalid */
    bool has[TEXTS];
    bool has_rule;
    struct pty_request pty;
    bool has_pty;
    size_t argc;
    size_t envc;
};

struct order_taken {
    struct head head;
    char **words; /* argv, NULL, env, NULL */
    char data[];
};

/* ---- giving it ------------------------------------------------------------------------------- */

enum afar_status order_put(const struct keep_order *order, int *fd, struct afar_error *err)
{
    const struct rule *rule = order->rule;
    const char *const texts[TEXTS] = {order->label,
                                      order->program,
                                      order->cwd,
                                      rule != NULL ? rule->name : NULL,
                                      rule != NULL ? rule->user.name : NULL,
                                      rule != NULL ? rule->chroot : NULL,
                                      order->recording};
    struct head head;
    memset(&head, 0, sizeof head);
    head.order = *order;
    head.order.base.default_signals = 0; /* they differ in the keeper */
    head.order.base.program_fd = 0;      /* whose own program it is */
    head.has_rule = rule != NULL;
    if (rule != NULL)
        head.rule = *rule;
    head.has_pty = order->pty != NULL;
    if (order->pty != NULL)
        head.pty = *order->pty;
    head.argc = packed_count(order->argv);
    head.envc = packed_count(order->env);
    for (int i = 0; i < TEXTS; i++)
        head.has[i] = texts[i] != NULL;
    *fd = memfd_create("afard-keep", MFD_CLOEXEC);
    if (*fd < 0)
        return afar_fail_errno(err, errno, "cannot tell a keeper what to do");
    enum afar_status status = packed_put(*fd, &head, sizeof head, whom, err);
    if (status == AFAR_OK && rule != NULL && rule->user.group_count > 0)
        status =
            packed_put(*fd, rule->user.groups, rule->user.group_count * sizeof(gid_t), whom, err);
    for (int i = 0; i < TEXTS && status == AFAR_OK; i++) {
        if (texts[i] != NULL)
            status = packed_put(*fd, texts[i], strlen(texts[i]) + 1, whom, err);
    }
    if (status == AFAR_OK)
        status = packed_put_words(*fd, order->argv, whom, err);
    if (status == AFAR_OK)
        status = packed_put_words(*fd, order->env, whom, err);
    if (status != AFAR_OK) {
        (void)close(*fd);
        *fd = -1;
    }
    return status;
}

/* ---- taking it ------------------------------------------------------------------------------- */

static bool take_words(char **words, size_t count, char **at, const char *end)
{
    for (size_t i = 0; i < count; i++) {
        words[i] = packed_take(at, end);
        if (words[i] == NULL)
            return false;
    }
    words[count] = NULL;
    return true;
}

/* Keeps only the parts of the rule that confine the command. */
static void clean_rule(struct rule *rule, gid_t *groups, char *const texts[TEXTS])
{
    rule->name = texts[TEXT_RULE];
    rule->file = NULL;
    rule->clients = NULL;
    rule->client_count = 0;
    rule->networks = NULL;
    rule->network_count = 0;
    rule->commands = NULL;
    rule->command_count = 0;
    rule->force = rule->wrapper = rule->env = (struct words){0};
    rule->user.name = texts[TEXT_USER];
    rule->user.groups = groups;
    rule->user.home = rule->user.shell = NULL;
    rule->cwd = NULL;
    rule->chroot = texts[TEXT_CHROOT];
    rule->record = NULL; /* the recording has been created already */
}

static bool parse(struct order_taken *taken, size_t size)
{
    struct head *head = &taken->head;
    char *at = taken->data;
    const char *end = at + size;
    char *texts[TEXTS] = {NULL};
    size_t groups = head->has_rule ? head->rule.user.group_count * sizeof(gid_t) : 0;
    if (groups > size)
        return false;
    gid_t *first = (gid_t *)(void *)at;
    at += groups;
    for (int i = 0; i < TEXTS; i++) {
        texts[i] = head->has[i] ? packed_take(&at, end) : NULL;
        if (head->has[i] && texts[i] == NULL)
            return false;
    }
    if (head->argc == 0 || head->argc > size || head->envc > size)
        return false;
    taken->words = calloc(head->argc + head->envc + 2, sizeof *taken->words);
    if (taken->words == NULL || !take_words(taken->words, head->argc, &at, end) ||
        !take_words(taken->words + head->argc + 1, head->envc, &at, end))
        return false;
    clean_rule(&head->rule, first, texts);
    head->order.rule = head->has_rule ? &head->rule : NULL;
    head->order.pty = head->has_pty ? &head->pty : NULL;
    head->order.recording = texts[TEXT_RECORDING];
    head->order.label = texts[TEXT_LABEL];
    head->order.program = texts[TEXT_PROGRAM];
    head->order.cwd = texts[TEXT_CWD];
    head->order.argv = taken->words;
    head->order.env = taken->words + head->argc + 1;
    head->order.base.seats = NULL;
    return at == end;
}

static bool read_all(int fd, void *room, size_t size, off_t offset)
{
    char *at = room;
    while (size > 0) {
        ssize_t got = pread(fd, at, size, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
        offset += got;
    }
    return true;
}

enum afar_status order_take(struct order_taken **taken, int fd, struct afar_error *err)
{
    struct stat info = {0};
    *taken = NULL;
    if (fstat(fd, &info) != 0 || (size_t)info.st_size < sizeof(struct head))
        return afar_fail(err, AFAR_EPEER, "a keeper got no order");
    size_t size = (size_t)info.st_size - sizeof(struct head);
    struct order_taken *made = calloc(1, sizeof *made + size + 1);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a keeper's order");
    if (!read_all(fd, &made->head, sizeof made->head, 0) ||
        !read_all(fd, made->data, size, sizeof made->head) || !parse(made, size)) {
        order_free(made);
        return afar_fail(err, AFAR_EPEER, "a keeper's order is damaged");
    }
    *taken = made;
    return AFAR_OK;
}

void order_free(struct order_taken *taken)
{
    if (taken == NULL)
        return;
    free(taken->words);
    free(taken);
}

const struct keep_order *order_of(const struct order_taken *taken)
{
    return &taken->head.order;
}
