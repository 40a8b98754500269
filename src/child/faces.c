#include "child/faces.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec/helper.h"
#include "files/files.h"
#include "forward/forward.h"
#include "keep/keeper.h"

/* Returns if it is to serve files or to forward a connection, its privileges dropped. */
static int go_on_as_helper(void)
{
    struct helper_service service;
    struct files_root roots[FILES_ROOTS_MAX];
    helper_main(&service);
    if (service.forward != NULL)
        return forward_serve(service.forward, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO);
    struct files_options options = {.home = service.home,
                                    .roots = roots,
                                    .own_root = service.own_root,
                                    .note_fd = service.note_fd,
                                    .note_changes = service.notes,
                                    .note_all = service.all_notes};
    for (char **root = service.roots; *root != NULL; root++) {
        if (options.root_count == FILES_ROOTS_MAX) /* the rules allow no more */
            return EXIT_FAILURE;
        roots[options.root_count++] =
            (struct files_root){.path = *root + 1, .writable = **root == 'w'};
    }
    return files_serve(STDIN_FILENO, STDOUT_FILENO, &options);
}

void faces_take(int argc, char **argv)
{
    if (argc < 1)
        return;
    if (strcmp(argv[0], HELPER_NAME) == 0)
        _exit(go_on_as_helper()); /* what the order points to need not be freed */
    if (strcmp(argv[0], KEEPER_NAME) == 0)
        exit(keeper_main(argc, argv));
}
