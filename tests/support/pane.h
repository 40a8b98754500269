/* A terminal whose screen can be read: a tmux server with one window, in which a command runs.
 *
 * Owns:    the server, until pane_close.
 * Threads: one.
 * Blocks:  at most until the deadline (support/program.h); pane_settle also while the screen
 *          changes.
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

/* True if there is such a program here. */
bool pane_has(const char *program);

/* Runs the line with sh; "afar" in it is the program under test. */
void pane_open(struct pane *pane, int rows, int cols, const char *line);

/* Types: keys as tmux names them ("Enter", "C-c"), or text. */
void pane_type(const struct pane *pane, const char *keys);

/* The text on the screen now. */
const char *pane_look(struct pane *pane);

/* The same with colours and other attributes, as escape sequences. */
const char *pane_look_styled(struct pane *pane);

/* Waits until the text is on the screen. */
void pane_expect(struct pane *pane, const char *text);

/* Types `keys`, and Enter if `enter`, until the text is on the screen: again after 10 s. A program
 * may lose a key that it gets while its terminal changes size. */
void pane_insist(struct pane *pane, const char *keys, bool enter, const char *text);

/* Waits until the screen is exactly this. */
void pane_expect_all(struct pane *pane, const char *screen);

/* Waits until the text is there and the screen has not changed for a while. */
void pane_settle(struct pane *pane, const char *text);

/* Waits until a tmux format such as "#{alternate_on}" has this value. */
void pane_expect_format(struct pane *pane, const char *format, const char *value);

void pane_close(struct pane *pane);

#endif
