#include "support/corpus.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 16 << 20 };

static int replay_file(const char *path, void (*run)(const uint8_t *data, size_t size))
{
    int result = -1;
    uint8_t *data = NULL;
    struct stat status;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return -1;
    if (fstat(fileno(file), &status) != 0)
        goto out;
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX_BYTES) {
        errno = EINVAL;
        goto out;
    }
    size_t size = (size_t)status.st_size;
    data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size)
        goto out;
    run(data, size);
    result = 1;
out:
    free(data);
    (void)fclose(file);
    return result;
}

int corpus_replay(const char *path, void (*run)(const uint8_t *data, size_t size))
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOTDIR ? replay_file(path, run) : -1;
    int count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        char name[4096];
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (replay_file(name, run) < 0) {
            count = -1;
            break;
        }
        count++;
    }
    (void)closedir(folder);
    return count;
}
