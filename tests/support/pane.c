#include "support/pane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

enum { LOOK_EACH_US = 20000, SETTLED_LOOKS = 25, INSIST_MS = 10000 };

bool pane_has(const char *program)
{
    struct program which;
    const char *argv[] = {"sh", "-c", "command -v \"$1\"", "sh", program, NULL};
    int status = program_run(&which, argv, NULL, 0);
    program_close(&which);
    return status == 0;
}

/* Stores what tmux prints, without the last newline; returns its status. */
static int tmux(const struct pane *pane, char *text, size_t size, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"tmux", "-L", pane->name, "-f", "/dev/null"};
    struct program program;
    size_t used = 5;
    for (; *words != NULL; words++)
        argv[used++] = *words;
    int status = program_run(&program, argv, NULL, 0);
    size_t length = program.stdout_size < size ? program.stdout_size : size - 1;
    memcpy(text, program.stdout_data, length);
    text[length] = '\0';
    program_close(&program);
    return status;
}

#define TMUX(pane, text, size, ...) \
    tmux((pane), (text), (size), (const char *const[]){__VA_ARGS__, NULL})

void pane_open(struct pane *pane, int rows, int cols, const char *line)
{
    static unsigned count;
    char height[16];
    char width[16];
    char path[PROGRAM_TEXT_BYTES];
    char command[PROGRAM_TEXT_BYTES + 2048];
    char ignored[256];
    (void)snprintf(pane->name, sizeof pane->name, "afar-test-%ld-%u", (long)getpid(), count++);
    (void)snprintf(height, sizeof height, "%d", rows);
    (void)snprintf(width, sizeof width, "%d", cols);
    (void)snprintf(command, sizeof command,
                   "afar() { %s \"$@\"; }; unset TMUX; %s; echo rc=$?.; exec cat",
                   program_path("afar", path), line);
    assert_int_equal(TMUX(pane, ignored, sizeof ignored, "new-session", "-d", "-x", width, "-y",
                          height, "sh", "-c", command, ";", "set", "-g", "status", "off"),
                     0);
}

void pane_type(const struct pane *pane, const char *keys)
{
    char ignored[256];
    assert_int_equal(TMUX(pane, ignored, sizeof ignored, "send-keys", keys), 0);
}

const char *pane_look(struct pane *pane)
{
    assert_int_equal(TMUX(pane, pane->text, sizeof pane->text, "capture-pane", "-p"), 0);
    return pane->text;
}

const char *pane_look_styled(struct pane *pane)
{
    assert_int_equal(TMUX(pane, pane->text, sizeof pane->text, "capture-pane", "-p", "-e"), 0);
    return pane->text;
}

static bool has_text(const char *screen, const void *text)
{
    return strstr(screen, text) != NULL;
}

static bool is_text(const char *screen, const void *text)
{
    return strcmp(screen, text) == 0;
}

static bool comes(struct pane *pane, bool (*is_right)(const char *, const void *), const char *text,
                  int64_t deadline_ms)
{
    while (!is_right(pane_look(pane), text)) {
        if (clock_now_ms() >= deadline_ms)
            return false;
        (void)usleep(LOOK_EACH_US);
    }
    return true;
}

static void await(struct pane *pane, bool (*is_right)(const char *, const void *), const char *text)
{
    if (!comes(pane, is_right, text, clock_deadline_ms(test_deadline_ms())))
        fail_msg("not shown: %s\nbut: %s", text, pane->text);
}

void pane_expect(struct pane *pane, const char *text)
{
    await(pane, has_text, text);
}

void pane_insist(struct pane *pane, const char *keys, bool enter, const char *text)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    do {
        if (clock_now_ms() >= deadline_ms)
            fail_msg("not shown: %s\nbut: %s", text, pane->text);
        pane_type(pane, keys);
        if (enter)
            pane_type(pane, "Enter");
    } while (!comes(pane, has_text, text, clock_deadline_ms(INSIST_MS)));
}

void pane_expect_all(struct pane *pane, const char *screen)
{
    await(pane, is_text, screen);
}

void pane_settle(struct pane *pane, const char *text)
{
    static char before[PANE_BYTES];
    pane_expect(pane, text);
    for (int same = 0; same < SETTLED_LOOKS; same++) {
        memcpy(before, pane->text, sizeof before);
        (void)usleep(LOOK_EACH_US);
        if (strcmp(pane_look(pane), before) != 0)
            same = 0;
    }
    assert_true(has_text(pane->text, text));
}

void pane_expect_format(struct pane *pane, const char *format, const char *value)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    char text[256] = "";
    for (;;) {
        assert_int_equal(TMUX(pane, text, sizeof text, "display", "-p", format), 0);
        text[strcspn(text, "\n")] = '\0';
        if (strcmp(text, value) == 0)
            return;
        if (clock_now_ms() >= deadline_ms)
            fail_msg("%s is '%s', not '%s'", format, text, value);
        (void)usleep(LOOK_EACH_US);
    }
}

void pane_close(struct pane *pane)
{
    char ignored[256];
    (void)TMUX(pane, ignored, sizeof ignored, "kill-server");
}
