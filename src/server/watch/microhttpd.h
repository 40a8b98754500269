/* Loads libmicrohttpd only if it is needed: it brings GnuTLS and a dozen more libraries, which
 * servers without --http and the helpers of commands should not load.
 *
 * Owns:    the library, which stays loaded until the process ends.
 * Threads: microhttpd_load from one at a time; the functions as libmicrohttpd documents.
 * Blocks:  on the file system.
 * Limits:  none. */
#ifndef SERVER_WATCH_MICROHTTPD_H
#define SERVER_WATCH_MICROHTTPD_H

#include <microhttpd.h>

#include "base/error.h"

struct microhttpd {
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_get_connection_info) *get_connection_info;
    __typeof__(MHD_lookup_connection_value) *lookup_connection_value;
    __typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
    __typeof__(MHD_add_response_header) *add_response_header;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_destroy_response) *destroy_response;
};

/* Fills in *library. AFAR_ESYSTEM: the library is missing, or is another version; the message names
 * the package. */
enum afar_status microhttpd_load(struct microhttpd *library, struct afar_error *err);

#endif
