#include "support/folder.h"

#include <sys/wait.h>
#include <unistd.h>

int folder_remove(const char *path)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}
