#include "loop/mailbox.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

void mailbox_deliver(struct mailbox *mailbox)
{
    (void)pthread_mutex_lock(&mailbox->lock);
    struct mail *mail = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    (void)pthread_mutex_unlock(&mailbox->lock);

    while (mail != NULL) {
        /* deliver may post the message again or free its object. */
        struct mail *next = mail->next;
        mail->deliver(mail);
        mail = next;
    }
}

static void mailbox_ready(struct loop_source *source, uint32_t events)
{
    (void)events;
    uint64_t count = 0;
    ssize_t got = read(source->fd, &count, sizeof count);
    (void)got; /* EAGAIN: already read; the list says what there is */
    mailbox_deliver(list_object(source, struct mailbox, source));
}

enum afar_status mailbox_open(struct mailbox *mailbox, struct loop *loop, struct afar_error *err)
{
    *mailbox = (struct mailbox){.loop = loop};
    loop_source_init(&mailbox->source);
    mailbox->last = &mailbox->first;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot make an eventfd");
    enum afar_status status = loop_add(loop, &mailbox->source, fd, EPOLLIN, mailbox_ready, err);
    if (status != AFAR_OK) {
        (void)close(fd);
        return status;
    }
    (void)pthread_mutex_init(&mailbox->lock, NULL);
    return AFAR_OK;
}

void mailbox_close(struct mailbox *mailbox)
{
    int fd = mailbox->source.fd;
    if (fd < 0)
        return;
    loop_remove(mailbox->loop, &mailbox->source);
    (void)close(fd);
    (void)pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
    mail->next = NULL;
    (void)pthread_mutex_lock(&mailbox->lock);
    *mailbox->last = mail;
    mailbox->last = &mail->next;
    (void)pthread_mutex_unlock(&mailbox->lock);

    const uint64_t one = 1;
    ssize_t sent = write(mailbox->source.fd, &one, sizeof one);
    (void)sent; /* EAGAIN would mean that 2^64-2 wake-ups are waiting */
}
