#include "support/hello.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void put(struct hello *hello, const void *data, size_t size)
{
    assert_true(hello->size + size <= sizeof hello->bytes);
    memcpy(hello->bytes + hello->size, data, size);
    hello->size += size;
}

static void put_number(struct hello *hello, size_t number, unsigned bytes)
{
    while (bytes-- > 0) {
        uint8_t byte = (uint8_t)(number >> (8 * bytes));
        put(hello, &byte, 1);
    }
}

/* Differs in each call, because a server may remember it; but is the same in each run. */
static void put_noise(struct hello *hello, size_t size)
{
    static uint32_t seed = 1;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        put_number(hello, seed >> 24, 1);
    }
}

/* Puts a two-byte length to be filled in later. */
static size_t put_place(struct hello *hello)
{
    put_number(hello, 0, 2);
    return hello->size;
}

static void fill_place(struct hello *hello, size_t at)
{
    size_t size = hello->size - at;
    hello->bytes[at - 2] = (uint8_t)(size >> 8);
    hello->bytes[at - 1] = (uint8_t)size;
}

static size_t begin_extension(struct hello *hello, uint16_t type)
{
    put_number(hello, type, 2);
    return put_place(hello);
}

void hello_begin(struct hello *hello, size_t ciphers, size_t signatures)
{
    static const uint8_t versions[] = {2, 3, 4};
    static const uint8_t known[] = {4, 3, 8, 4, 8, 7, 8, 5, 4, 1, 5, 3};
    static const uint8_t alpn[] = {0, 7, 6, 'a', 'f', 'a', 'r', '/', '1'};
    hello->size = 0;
    put_number(hello, 1, 1);
    put_number(hello, 0, 3);
    put_number(hello, 0x0303, 2);
    put_noise(hello, 32);
    put_number(hello, 0, 1); /* no session id */
    size_t at = put_place(hello);
    for (size_t i = 0; i < ciphers; i++)
        put_number(hello, 0xD000 + i % 0x1000, 2);
    put_number(hello, 0x1301, 2);
    fill_place(hello, at);
    put_number(hello, 0x0100, 2); /* no compression */
    hello->extensions_at = put_place(hello);
    at = begin_extension(hello, 43);
    put(hello, versions, sizeof versions);
    fill_place(hello, at);
    at = begin_extension(hello, 13);
    size_t list = put_place(hello);
    for (size_t i = 0; i < signatures; i++)
        put_number(hello, 0xD000 + i % 0x1000, 2);
    put(hello, known, sizeof known);
    fill_place(hello, list);
    fill_place(hello, at);
    at = begin_extension(hello, 16);
    put(hello, alpn, sizeof alpn);
    fill_place(hello, at);
}

void hello_groups(struct hello *hello, const uint16_t *groups, size_t count, size_t unknown)
{
    size_t at = begin_extension(hello, 10);
    size_t list = put_place(hello);
    for (size_t i = 0; i < unknown; i++)
        put_number(hello, 0xE000 + i % 0x1000, 2);
    for (size_t i = 0; i < count; i++)
        put_number(hello, groups[i], 2);
    fill_place(hello, list);
    fill_place(hello, at);
}

void hello_shares_begin(struct hello *hello)
{
    hello->list_at = begin_extension(hello, 51);
    hello->inner_at = put_place(hello);
}

void hello_share(struct hello *hello, uint16_t group, const uint8_t *data, size_t size)
{
    put_number(hello, group, 2);
    put_number(hello, size, 2);
    if (data != NULL)
        put(hello, data, size);
    else
        put_noise(hello, size);
}

void hello_shares_end(struct hello *hello)
{
    fill_place(hello, hello->inner_at);
    fill_place(hello, hello->list_at);
}

void hello_tickets(struct hello *hello, const uint8_t *ticket, size_t ticket_size, size_t count,
                   size_t size)
{
    static const uint8_t modes[] = {1, 1}; /* psk_dhe_ke */
    size_t at = begin_extension(hello, 45);
    put(hello, modes, sizeof modes);
    fill_place(hello, at);
    at = begin_extension(hello, 41);
    size_t list = put_place(hello);
    for (size_t i = 0; i < count; i++) {
        put_number(hello, size, 2);
        put(hello, ticket, ticket_size);
        put_noise(hello, size - ticket_size);
        put_number(hello, 0, 4); /* its age */
    }
    fill_place(hello, list);
    list = put_place(hello);
    for (size_t i = 0; i < count; i++) {
        put_number(hello, 32, 1);
        put_noise(hello, 32);
    }
    fill_place(hello, list);
    fill_place(hello, at);
}

void hello_unknown(struct hello *hello, uint16_t type, size_t size)
{
    size_t at = begin_extension(hello, type);
    put_noise(hello, size);
    fill_place(hello, at);
}

void hello_end(struct hello *hello)
{
    size_t body = hello->size - 4;
    fill_place(hello, hello->extensions_at);
    hello->bytes[1] = (uint8_t)(body >> 16);
    hello->bytes[2] = (uint8_t)(body >> 8);
    hello->bytes[3] = (uint8_t)body;
}

size_t hello_records(const struct hello *hello, size_t piece, uint8_t *out, size_t size)
{
    size_t used = 0;
    for (size_t at = 0; at < hello->size; at += piece) {
        size_t some = hello->size - at < piece ? hello->size - at : piece;
        const uint8_t head[] = {22, 3, 1, (uint8_t)(some >> 8), (uint8_t)some};
        assert_true(used + sizeof head + some <= size);
        memcpy(out + used, head, sizeof head);
        memcpy(out + used + sizeof head, hello->bytes + at, some);
        used += sizeof head + some;
    }
    return used;
}
