/* Result codes and the error that belongs to them.
 *
 * Owns:    nothing; the caller owns a struct afar_error, which is never allocated, so that an error
 *          can be reported when memory is out.
 * Threads: a struct afar_error belongs to one thread at a time.
 * Blocks:  never.
 * Limits:  a message is cut at AFAR_ERROR_MESSAGE_BYTES - 1 bytes. */
#ifndef AFAR_ERROR_H
#define AFAR_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns. The names say what the caller can do about it. */
enum afar_status {
    AFAR_OK = 0,
    AFAR_EAGAIN,    /* would block, or no room: try again when that has changed */
    AFAR_ECLOSED,   /* the peer is gone: FIN, close_notify or reset */
    AFAR_ETIMEDOUT, /* the deadline has passed */
    AFAR_EPEER,     /* the peer sent what the protocol does not allow */
    AFAR_EREFUSED,  /* the server answered with an error frame */
    AFAR_ETRUST,    /* a certificate, name or handshake was not accepted, by either side */
    AFAR_ELIMIT,    /* a configured limit was reached */
    AFAR_EINVAL,    /* the caller's argument, option or file is wrong */
    AFAR_ESYSTEM,   /* a system call failed; sys_errno says how */
    AFAR_ENOMEM,    /* out of memory */
    AFAR_EBUG       /* cannot happen; a defect in Afar */
};

enum { AFAR_ERROR_MESSAGE_BYTES = 512, AFAR_ERROR_REASON_BYTES = 32 };

/* The layout never changes: the struct has no `size` member, so that any code can fill it in. */
struct afar_error {
    enum afar_status code;
    int sys_errno; /* 0 if no system call was involved */
    /* With AFAR_EREFUSED: the code of the error frame. When a connection ends: the code of the
     * server's last message, if there was one; otherwise "not_sent" if the command was certainly
     * not started. */
    char reason[AFAR_ERROR_REASON_BYTES];
    char message[AFAR_ERROR_MESSAGE_BYTES]; /* one line for people, without a newline */
};

#ifdef __cplusplus
}
#endif

#endif
