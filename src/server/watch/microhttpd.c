#include "server/watch/microhttpd.h"

#ifdef AFAR_STATIC

enum afar_status microhttpd_load(struct microhttpd *library, struct afar_error *err)
{
    (void)err;
    *library = (struct microhttpd){.start_daemon = MHD_start_daemon,
                                   .stop_daemon = MHD_stop_daemon,
                                   .get_connection_info = MHD_get_connection_info,
                                   .lookup_connection_value = MHD_lookup_connection_value,
                                   .create_response_from_buffer = MHD_create_response_from_buffer,
                                   .add_response_header = MHD_add_response_header,
                                   .queue_response = MHD_queue_response,
                                   .destroy_response = MHD_destroy_response};
    return AFAR_OK;
}

#else

#include "base/loaded.h"

/* The interface of microhttpd.h; since libmicrohttpd 0.9.38. */
#define SONAME "libmicrohttpd.so.12"
#define ADVICE                                                                                 \
    "install it (on Debian and Ubuntu: libmicrohttpd12 or libmicrohttpd12t64), or do without " \
    "--http"

enum afar_status microhttpd_load(struct microhttpd *library, struct afar_error *err)
{
    *library = (struct microhttpd){.start_daemon = NULL};
    void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return afar_fail(err, AFAR_ESYSTEM, "cannot load %s: %s; " ADVICE, SONAME, dlerror());
    const struct {
        const char *name;
        void *function;
    } wanted[] = {{"MHD_start_daemon", &library->start_daemon},
                  {"MHD_stop_daemon", &library->stop_daemon},
                  {"MHD_get_connection_info", &library->get_connection_info},
                  {"MHD_lookup_connection_value", &library->lookup_connection_value},
                  {"MHD_create_response_from_buffer", &library->create_response_from_buffer},
                  {"MHD_add_response_header", &library->add_response_header},
                  {"MHD_queue_response", &library->queue_response},
                  {"MHD_destroy_response", &library->destroy_response}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (!loaded_find(handle, wanted[i].name, wanted[i].function)) {
            (void)dlclose(handle);
            return afar_fail(err, AFAR_ESYSTEM, "%s has no %s; " ADVICE, SONAME, wanted[i].name);
        }
    }
    return AFAR_OK;
}

#endif
