/* Reads the file of -F: those keywords of OpenSSH's ssh_config(5) that say where to connect and
 * with what environment. Without -F no file is read: the ports and proxies in ~/.ssh/config are
 * meant for sshd.
 *
 * Owns:    nothing afterwards.
 * Threads: one.
 * Blocks:  as long as the file does.
 * Limits:  SSH_CONFIG_BYTES. */
#ifndef AFAR_SSH_CONFIG_FILE_H
#define AFAR_SSH_CONFIG_FILE_H

#include "afar/ssh/options.h"

enum { SSH_CONFIG_BYTES = 1 << 20 };

/* Sets the values that the file has for `host` and that were not set before. False: `message` says
 * what is wrong. */
bool ssh_config_read(struct ssh_options *options, const char *path, const char *host,
                     char message[SSH_MESSAGE_BYTES]);

/* The same for the file's text, which is modified; `path` is for messages. */
bool ssh_config_apply(struct ssh_options *options, char *text, const char *path, const char *host,
                      char message[SSH_MESSAGE_BYTES]);

#endif
