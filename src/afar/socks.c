#include "afar/socks.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    VERSION_4 = 4,
    VERSION_5 = 5,
    CONNECT = 1, /* the only command that is accepted */
    NO_AUTHENTICATION = 0,
    NO_METHOD = 0xff,
    /* Replies: RFC 1928 §6. */
    REPLY_OK = 0,
    REPLY_FAILED = 1,
    REPLY_UNREACHABLE = 4,
    REPLY_REFUSED = 5,
    REPLY_TIMED_OUT = 6,
    REPLY_NO_COMMAND = 7,
    REPLY_NO_ADDRESS = 8,
    /* Replies of version 4. */
    REPLY_4_OK = 90,
    REPLY_4_FAILED = 91
};

enum address_type { ADDRESS_IPV4 = 1, ADDRESS_NAME = 3, ADDRESS_IPV6 = 4 };

static void reply_5(struct socks *socks, uint8_t code)
{
    /* The server's local address is not sent: 0.0.0.0:0. */
    const uint8_t reply[] = {VERSION_5, code, 0, ADDRESS_IPV4, 0, 0, 0, 0, 0, 0};
    memcpy(socks->reply, reply, sizeof reply);
    socks->reply_size = sizeof reply;
}

static void reply_4(struct socks *socks, uint8_t code)
{
    const uint8_t reply[] = {0, code, 0, 0, 0, 0, 0, 0};
    memcpy(socks->reply, reply, sizeof reply);
    socks->reply_size = sizeof reply;
}

static enum socks_next refuse(struct socks *socks, uint8_t code)
{
    if (socks->version == VERSION_4)
        reply_4(socks, REPLY_4_FAILED);
    else
        reply_5(socks, code);
    return SOCKS_REFUSE;
}

static enum socks_next set_target(struct socks *socks, const char *host, size_t size,
                                  const uint8_t port[2])
{
    struct forward_target target;
    char digits[8];
    (void)snprintf(digits, sizeof digits, "%u", port[0] << 8 | port[1]);
    if (forward_target_make(&target, host, size, digits, NULL) != AFAR_OK)
        return refuse(socks, REPLY_FAILED);
    forward_target_format(&target, socks->target);
    return SOCKS_CONNECT;
}

/* Version 5, its methods: 05 COUNT METHOD… */
static enum socks_next greet(struct socks *socks, const uint8_t *data, size_t size, size_t *used)
{
    if (size < 2 || size < 2 + (size_t)data[1])
        return SOCKS_MORE;
    *used = 2 + (size_t)data[1];
    const bool has = memchr(data + 2, NO_AUTHENTICATION, data[1]) != NULL;
    socks->greeted = true;
    socks->reply[0] = VERSION_5;
    socks->reply[1] = has ? NO_AUTHENTICATION : NO_METHOD;
    socks->reply_size = 2;
    return has ? SOCKS_ANSWER : SOCKS_REFUSE;
}

/* 05 COMMAND 00 TYPE ADDRESS PORT */
static enum socks_next take_5(struct socks *socks, const uint8_t *data, size_t size, size_t *used)
{
    char text[INET6_ADDRSTRLEN];
    if (size < 5)
        return SOCKS_MORE;
    if (data[0] != VERSION_5)
        return refuse(socks, REPLY_FAILED);
    const size_t length = data[3] == ADDRESS_IPV4   ? 4
                          : data[3] == ADDRESS_IPV6 ? 16
                          : data[3] == ADDRESS_NAME ? 1 + (size_t)data[4]
                                                    : 0;
    if (length == 0)
        return refuse(socks, REPLY_NO_ADDRESS);
    if (size < 4 + length + 2)
        return SOCKS_MORE;
    *used = 4 + length + 2;
    const uint8_t *port = data + 4 + length;
    if (data[1] != CONNECT)
        return refuse(socks, REPLY_NO_COMMAND);
    if (data[3] == ADDRESS_NAME)
        return set_target(socks, (const char *)data + 5, data[4], port);
    if (inet_ntop(data[3] == ADDRESS_IPV4 ? AF_INET : AF_INET6, data + 4, text, sizeof text) ==
        NULL)
        return refuse(socks, REPLY_FAILED);
    return set_target(socks, text, strlen(text), port);
}

/* 04 COMMAND PORT ADDRESS USER 00; after an address 0.0.0.X, X > 0, follows NAME 00 (4a). */
static enum socks_next take_4(struct socks *socks, const uint8_t *data, size_t size, size_t *used)
{
    char text[INET_ADDRSTRLEN];
    if (size < 9)
        return SOCKS_MORE;
    const uint8_t *user_end = memchr(data + 8, 0, size - 8);
    if (user_end == NULL)
        return SOCKS_MORE;
    const uint8_t *name = user_end + 1;
    const bool named = data[4] == 0 && data[5] == 0 && data[6] == 0 && data[7] != 0;
    const size_t left = size - (size_t)(name - data);
    const uint8_t *name_end = named ? memchr(name, 0, left) : NULL;
    if (named && name_end == NULL)
        return SOCKS_MORE;
    *used = (size_t)((named ? name_end + 1 : name) - data);
    if (data[1] != CONNECT)
        return refuse(socks, 0);
    if (named)
        return set_target(socks, (const char *)name, (size_t)(name_end - name), data + 2);
    if (inet_ntop(AF_INET, data + 4, text, sizeof text) == NULL)
        return refuse(socks, 0);
    return set_target(socks, text, strlen(text), data + 2);
}

enum socks_next socks_take(struct socks *socks, const uint8_t *data, size_t size, size_t *used)
{
    *used = 0;
    socks->reply_size = 0;
    if (size == 0)
        return SOCKS_MORE;
    if (socks->version == 0)
        socks->version = data[0];
    if (socks->version == VERSION_4)
        return take_4(socks, data, size, used);
    if (socks->version != VERSION_5) /* to HTTP or TLS no reply makes sense */
        return SOCKS_REFUSE;
    return socks->greeted ? take_5(socks, data, size, used) : greet(socks, data, size, used);
}

void socks_answer(struct socks *socks, enum forward_end end)
{
    static const uint8_t codes[] = {[FORWARD_ENDED] = REPLY_OK,
                                    [FORWARD_BROKEN] = REPLY_FAILED,
                                    [FORWARD_NOT_FOUND] = REPLY_UNREACHABLE,
                                    [FORWARD_REFUSED] = REPLY_REFUSED,
                                    [FORWARD_UNREACHABLE] = REPLY_UNREACHABLE,
                                    [FORWARD_TIMED_OUT] = REPLY_TIMED_OUT,
                                    [FORWARD_FAILED] = REPLY_FAILED};
    if (socks->version == VERSION_4)
        reply_4(socks, end == FORWARD_ENDED ? REPLY_4_OK : REPLY_4_FAILED);
    else
        reply_5(socks, codes[end]);
}
