#include "support/recorded.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

unsigned recorded_find(const char *folder, char path[RECORDED_PATH_BYTES])
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        (void)snprintf(path, RECORDED_PATH_BYTES, "%s/%s", folder, entry->d_name);
    }
    (void)closedir(dir);
    return count;
}

size_t recorded_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t got = read(fd, text, size - 1);
    assert_true(got >= 0);
    text[got] = '\0';
    (void)close(fd);
    return (size_t)got;
}

void recorded_hash(const char *text, size_t size, char hash[DIGEST_HEX_BYTES])
{
    struct digest *digest = NULL;
    assert_int_equal(digest_new(&digest, "sha256", NULL), AFAR_OK);
    assert_int_equal(digest_update(digest, text, size, NULL), AFAR_OK);
    assert_int_equal(digest_finish(digest, hash, NULL), AFAR_OK);
    digest_free(digest);
}
