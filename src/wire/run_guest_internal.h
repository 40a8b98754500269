/* Shared by run_guest.c (connection and sending) and run_guest_message.c (receiving). For these two
 * only. */
#ifndef WIRE_RUN_GUEST_INTERNAL_H
#define WIRE_RUN_GUEST_INTERNAL_H

#include "wire/run_guest.h"

/* What is not known about the command when the connection is lost for good. */
const char *run_guest_fate(const struct run_guest *guest);

#endif
