/* A terminal whose screen can be read: a server of tmux with one window, in which a command runs.
 *
 * Owns:    the server, until pane_close.
 * Threads: one.
 * Blocks:  until the deadline at most (support/program.h).
 * Limits:  PANE_BYTES of screen. */
#ifndef SUPPORT_PANE_H
#define SUPPORT_PANE_H

#include <stdbool.h>

#include "support/program.h"

enum { PANE_BYTES = 65536 };

struct pane {
    char name[64]; /* of the server's socket */
    char text[PANE_BYTES];
};

/* Whether there is such a program here. */
bool pane_has(const char *program);

/* Runs the line by sh; "afar" in it is the program under test. */
void pane_open(struct pane *pane, int rows, int cols, const char *line);

/* What a person would type: keys as tmux names them ("Enter", "C-c"), or text. */
void pane_type(const struct pane *pane, const char *keys);

/* What is on the screen now. */
const char *pane_look(struct pane *pane);

/* The same with its colours and other attributes, as escape sequences. */
const char *pane_look_styled(struct pane *pane);

/* Waits until the text is there. */
void pane_expect(struct pane *pane, const char *text);

/* Types `keys`, and Enter where `enter`, until the text is there: again after 10 s. A program may
 * lose a key that comes as it is told of another size. */
void pane_insist(struct pane *pane, const char *keys, bool enter, const char *text);

/* Waits until the screen is this one. */
void pane_expect_all(struct pane *pane, const char *screen);

/* Waits until it has been the same for a while, with this text on it. */
void pane_settle(struct pane *pane, const char *text);

/* "alternate_on" and the like are 0 or 1: a format of tmux's. */
void pane_expect_format(struct pane *pane, const char *format, const char *value);

void pane_close(struct pane *pane);

#endif
