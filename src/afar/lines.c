#include "afar/lines.h"

#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <histedit.h>

#include "afar/report.h"
#include "base/loaded.h"

static const char prompt_text[] = ">>>: "; /* almost the tutorial's */

struct line_editor {
    void *library; /* owned; NULL: linked statically */
    EditLine *edit;
    History *history;
    EditLine *(*init)(const char *program, FILE *in, FILE *out, FILE *err);
    void (*end)(EditLine *);
    int (*set)(EditLine *, int what, ...);
    int (*source)(EditLine *, const char *file);
    const char *(*gets)(EditLine *, int *length);
    History *(*history_init)(void);
    void (*history_end)(History *);
    int (*history_do)(History *, HistEvent *, int what, ...);
};

#ifdef AFAR_STATIC
static bool load(struct line_editor *editor)
{
    editor->init = el_init;
    editor->end = el_end;
    editor->set = el_set;
    editor->source = el_source;
    editor->gets = el_gets;
    editor->history_init = history_init;
    editor->history_end = history_end;
    editor->history_do = history;
    return true;
}
#else
static const char library[] = "libedit.so.2";

static bool load(struct line_editor *editor)
{
    /* NODELETE: memory that the library keeps would otherwise be reported as a leak. */
    editor->library = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *from = editor->library;
    return from != NULL && loaded_find(from, "el_init", &editor->init) &&
           loaded_find(from, "el_end", &editor->end) && loaded_find(from, "el_set", &editor->set) &&
           loaded_find(from, "el_source", &editor->source) &&
           loaded_find(from, "el_gets", &editor->gets) &&
           loaded_find(from, "history_init", &editor->history_init) &&
           loaded_find(from, "history_end", &editor->history_end) &&
           loaded_find(from, "history", &editor->history_do);
}
#endif

static char *prompt(EditLine *edit)
{
    static char text[sizeof prompt_text];
    (void)edit;
    memcpy(text, prompt_text, sizeof text);
    return text;
}

static void editor_free(struct line_editor *editor)
{
    if (editor == NULL)
        return;
    if (editor->history != NULL)
        editor->history_end(editor->history);
    if (editor->edit != NULL)
        editor->end(editor->edit);
    if (editor->library != NULL)
        (void)dlclose(editor->library);
    free(editor);
}

static bool editor_begin(struct line_editor *editor)
{
    HistEvent event;
    editor->edit = editor->init("afar", stdin, stdout, stderr);
    editor->history = editor->history_init();
    if (editor->edit == NULL || editor->history == NULL)
        return false;
    (void)editor->history_do(editor->history, &event, H_SETSIZE, LINES_HISTORY);
    (void)editor->history_do(editor->history, &event, H_SETUNIQUE, 1);
    (void)editor->set(editor->edit, EL_EDITOR, "emacs");
    (void)editor->set(editor->edit, EL_HIST, editor->history_do, editor->history);
    (void)editor->set(editor->edit, EL_PROMPT, prompt);
    (void)editor->set(editor->edit, EL_SIGNAL, 1);
    (void)editor->source(editor->edit, NULL);
    /* In both key maps of vi's bindings, too; see read_edited. */
    (void)editor->set(editor->edit, EL_BIND, "^C", "ed-start-over", NULL);
    (void)editor->set(editor->edit, EL_BIND, "-a", "^C", "ed-start-over", NULL);
    return true;
}

bool lines_open(struct lines *lines)
{
    *lines = (struct lines){.interactive = isatty(STDIN_FILENO) != 0};
    if (!lines->interactive)
        return true;
    (void)setlocale(LC_CTYPE, "");
    struct line_editor *editor = calloc(1, sizeof *editor);
    if (editor == NULL) {
        report("out of memory");
        return false;
    }
    if (!load(editor)) {
        report("no history: libedit.so.2 is missing here (Debian's package libedit2)");
        editor_free(editor);
        return true;
    }
    if (!editor_begin(editor)) {
        report("cannot set up the terminal");
        editor_free(editor);
        return false;
    }
    lines->editor = editor;
    return true;
}

void lines_close(struct lines *lines)
{
    editor_free(lines->editor);
    free(lines->line);
}

/* After a read error the line may be incomplete, and is not returned. */
static const char *read_plain(struct lines *lines, size_t *size)
{
    if (lines->interactive) {
        (void)fputs(prompt_text, stdout);
        (void)fflush(stdout);
    }
    ssize_t length = getline(&lines->line, &lines->line_bytes, stdin);
    int why = errno;
    if (ferror(stdin) != 0 || (length < 0 && feof(stdin) == 0)) {
        lines->failure = why != 0 ? why : EIO;
        return NULL;
    }
    *size = length < 0 ? 0 : (size_t)length;
    return length < 0 ? NULL : lines->line;
}

static void set_interrupt_key(bool known, struct termios *mode, cc_t key)
{
    if (!known)
        return;
    mode->c_cc[VINTR] = key;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, mode);
}

static const char *read_edited(struct line_editor *editor, size_t *size)
{
    HistEvent event;
    int length = 0;
    struct termios mode;
    /* While a line is edited, Ctrl-C is a key of the editor, which takes over what is set here. */
    const bool known = tcgetattr(STDIN_FILENO, &mode) == 0;
    const cc_t key = known ? mode.c_cc[VINTR] : 0;
    set_interrupt_key(known, &mode, _POSIX_VDISABLE);
    const char *line = editor->gets(editor->edit, &length);
    set_interrupt_key(known, &mode, key);
    if (line == NULL || length <= 0)
        return NULL;
    if (strspn(line, " \t\n") < strlen(line))
        (void)editor->history_do(editor->history, &event, H_ENTER, line);
    *size = (size_t)length;
    return line;
}

static void pass(int number)
{
    (void)number;
}

/* As in a shell, Ctrl-C at the prompt ends the line, which the terminal drops, not this program. */
const char *lines_next(struct lines *lines, size_t *size)
{
    const struct sigaction go_on = {.sa_handler = pass, .sa_flags = SA_RESTART};
    struct sigaction before;
    lines->number++;
    if (!lines->interactive)
        return read_plain(lines, size);
    (void)sigaction(SIGINT, &go_on, &before);
    const char *line =
        lines->editor != NULL ? read_edited(lines->editor, size) : read_plain(lines, size);
    (void)sigaction(SIGINT, &before, NULL);
    return line;
}
