#include "support/fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/config_table.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* A file with these bytes and a path; it lives as long as the descriptor. */
static int make_file(const uint8_t *data, size_t size, char path[64])
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    require(fd >= 0 && fchmod(fd, 0600) == 0);
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        require(written > 0);
        data += written;
        size -= (size_t)written;
    }
    (void)snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* All accepted values must be within the table's limits. */
static void check_values(const struct config *config)
{
    size_t count = 0;
    const struct config_key *keys = config_keys(&count);
    require(config->listen_count <= CONFIG_LISTEN_MAX);
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        if (keys[i].kind != CONFIG_NUMBER)
            continue;
        memcpy(&value, (const char *)config + keys[i].offset, sizeof value);
        require(value >= keys[i].min && value <= keys[i].max);
    }
}

void fuzz_config(const uint8_t *data, size_t size)
{
    char path[64];
    struct config config;
    struct afar_error err;
    int fd = make_file(data, size, path);
    config_init(&config);
    enum afar_status status = config_load(&config, path, &err);
    if (status == AFAR_OK) {
        status = config_check(&config, &err);
        require(status == AFAR_OK || (status == AFAR_EINVAL && err.message[0] != '\0'));
    } else {
        /* The message names file and line. */
        require(status == AFAR_EINVAL && strncmp(err.message, path, strlen(path)) == 0);
        require(err.message[strlen(path)] == ':' && atoi(err.message + strlen(path) + 1) > 0);
    }
    check_values(&config);
    config_close(&config);
    (void)close(fd);
}
