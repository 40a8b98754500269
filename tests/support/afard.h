/* A real afard on free ports, for one test.
 *
 * Owns:    the process and a temporary folder with certificates.
 * Threads: one.
 * Blocks:  until afard listens or has ended, or until the deadline (support/program.h).
 * Limits:  AFARD_URLS_MAX listeners. */
#ifndef SUPPORT_AFARD_H
#define SUPPORT_AFARD_H

#include "support/program.h"

enum { AFARD_URLS_MAX = 8 };

struct afard {
    struct program program;
    char folder[64];
    char url[AFARD_URLS_MAX][512]; /* in the order of the --listen options */
    unsigned url_count;
    char http[512]; /* of --http; "" without */
    char ca[128];   /* made by afard_start_tls with certs/make-certs */
    char client_cert[128];
    char client_key[128];
    unsigned descriptors; /* open when it began to listen; 0: cannot be counted */
};

/* Starts `afard --print-endpoints ARGS…` and waits until it listens. */
void afard_start(struct afard *afard, const char *const *args);

/* The same with certificates made by certs/make-certs. afard gets them by options, the client by
 * AFAR_CA, AFAR_CERT and AFAR_KEY in this process's environment; AFAR_SESSIONS is set, too. */
void afard_start_tls(struct afard *afard, const char *const *args);

/* Sends TERM and waits for the end. Returns the exit status; removes the folder. */
int afard_stop(struct afard *afard);

/* Waits until `text` is in its log. */
void afard_expect_log(struct afard *afard, const char *text);

/* The port of a URL. */
uint16_t afard_port(const struct afard *afard, unsigned url);

/* The number of its open descriptors; 0 if only root may count them (afard is not dumpable). */
unsigned afard_descriptors(const struct afard *afard);

/* The number of its children, including zombies. */
unsigned afard_children(const struct afard *afard);

/* Peak memory so far, in KiB (VmHWM). */
long afard_peak_kib(const struct afard *afard);

/* The value of a metric without labels; -1: there is none of that name. Needs --http. */
double afard_metric(const struct afard *afard, const char *name);

/* Waits until afard has as many descriptors as at its start (if they can be counted) and no
 * children. */
void afard_expect_calm(const struct afard *afard);

#endif
