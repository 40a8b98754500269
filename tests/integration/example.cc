// The example in C++11, by all public headers: example URL COMMAND [ARGUMENT...].
#include <cstdio>

#include <afar/afar.h>
#include <afar/error.h>
#include <afar/keygen.h>
#include <afar/receipt.h>

static size_t to_file(void *file, const void *data, size_t size)
{
    return std::fwrite(data, 1, size, static_cast<std::FILE *>(file));
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 125;
    afar_command command = AFAR_COMMAND_INIT();
    command.argv = argv + 2;
    afar_callbacks callbacks{}; // the same
    callbacks.on_stdout = to_file;
    callbacks.user = stdout;
    afar_pong pong{};
    afar_client *client = nullptr;
    afar_error err;
    int status = 125;
    if (afar_connect(&client, nullptr, argv[1], 10000, &err) != AFAR_OK ||
        afar_ping(client, 10000, &pong, &err) != AFAR_OK ||
        afar_start(client, &command, &callbacks, &err) != AFAR_OK ||
        afar_wait(client, 0, &err) != AFAR_OK)
        std::fprintf(stderr, "example: %s\n", err.message);
    else
        status = afar_exit_status(afar_receipt(client));
    afar_close(client);
    return status;
}
