/* What an epoll has is taken out of it before it is closed: a child between clone and execve may have
 * copies of all descriptors, and then a close alone leaves events for ever, about memory that is
 * somebody else's by then. For wrappers of epoll_ctl and close: they end the program where it is not.
 *
 * Owns:    a note for each of the first 4,096 descriptors.
 * Threads: any.
 * Blocks:  never.
 * Limits:  an epoll of its own for each descriptor. */
#ifndef SUPPORT_WATCHED_H
#define SUPPORT_WATCHED_H

/* After an epoll_ctl that has worked. */
void watched_note(int epoll_fd, int operation, int fd);

/* Before a close. */
void watched_close(int fd);

#endif
