/* A real afard on free ports, for one test.
 *
 * Owns:    the process and a temporary folder with certificates.
 * Threads: one.
 * Blocks:  until it listens, until it has ended.
 * Limits:  AFARD_URLS_MAX listeners. */
#ifndef SUPPORT_AFARD_H
#define SUPPORT_AFARD_H

#include "support/program.h"

enum { AFARD_URLS_MAX = 8 };

struct afard {
    struct program program;
    char folder[64];
    char url[AFARD_URLS_MAX][512]; /* in the order of --listen */
    unsigned url_count;
    char http[512]; /* of --http; "" without */
    char ca[128];   /* of certs/make-certs, made by afard_start_tls only */
    char client_cert[128];
    char client_key[128];
    unsigned descriptors; /* open when it began to listen */
};

/* Starts `afard --print-endpoints ARGS…` and waits until it listens. */
void afard_start(struct afard *afard, const char *const *args);

/* The same with certificates made by certs/make-certs, given to it and to the client by AFAR_CA and
 * its like in this process's environment. */
void afard_start_tls(struct afard *afard, const char *const *args);

/* TERM, and the end: its exit status. The folder is removed. */
int afard_stop(struct afard *afard);

/* What it has logged so far, as far as it has been read; afard_expect_log reads on. */
void afard_expect_log(struct afard *afard, const char *text);

/* The port of a URL. */
uint16_t afard_port(const struct afard *afard, unsigned url);

/* Its open descriptors; 0 where only root could count them, as the server is not dumpable. */
unsigned afard_descriptors(const struct afard *afard);

/* Its children, living or not. */
unsigned afard_children(const struct afard *afard);

/* Peak memory so far, in KiB (VmHWM). */
long afard_peak_kib(const struct afard *afard);

/* A number without labels of /metrics, by its name; -1: there is none. With --http only. */
double afard_metric(const struct afard *afard, const char *name);

/* Waits until it has as many descriptors as at its start (if they can be counted), and no child. */
void afard_expect_calm(const struct afard *afard);

#endif
