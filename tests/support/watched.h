/* Checks that descriptors are removed from an epoll before they are closed: a child between clone
 * and execve may have copies of all descriptors, so that after a close alone the epoll still
 * reports events, for memory that may have been reused. For wrappers of epoll_ctl and close, which
 * abort the program on an error.
 *
 * Owns:    an entry for each of the first 4,096 descriptors.
 * Threads: any.
 * Blocks:  never.
 * Limits:  each descriptor can be in one epoll. */
#ifndef SUPPORT_WATCHED_H
#define SUPPORT_WATCHED_H

/* Call after a successful epoll_ctl. */
void watched_note(int epoll_fd, int operation, int fd);

/* Call before a close. */
void watched_close(int fd);

#endif
