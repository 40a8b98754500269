/* Runs a command on a server: example URL COMMAND [ARGUMENT...]. Only libafar's public header. */
#include <stdio.h>

#include <afar/afar.h>

static size_t to_file(void *file, const void *data, size_t size)
{
    return fwrite(data, 1, size, file);
}

static size_t on_stdout(void *user, const void *data, size_t size)
{
    (void)user;
    return to_file(stdout, data, size);
}

static size_t on_stderr(void *user, const void *data, size_t size)
{
    (void)user;
    return to_file(stderr, data, size);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 125;
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = (const char *const *)(argv + 2));
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = on_stdout, .on_stderr = on_stderr);
    struct afar_client *client = NULL;
    struct afar_error err;
    int status = 125;
    if (afar_connect(&client, NULL, argv[1], 10000, &err) != AFAR_OK ||
        afar_start(client, &command, &callbacks, &err) != AFAR_OK ||
        afar_wait(client, 0, &err) != AFAR_OK)
        (void)fprintf(stderr, "example: %s\n", err.message);
    else
        status = afar_exit_status(afar_receipt(client));
    afar_close(client);
    return status;
}
