#include "support/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/endpoint.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

void fuzz_endpoint(const uint8_t *data, size_t size)
{
    char *url = malloc(size + 1);
    require(url != NULL);
    if (size > 0)
        memcpy(url, data, size);
    url[size] = '\0';

    struct endpoint endpoint;
    struct afar_error err;
    enum afar_status status = endpoint_parse(&endpoint, url, &err);
    if (status == AFAR_OK) {
        /* Formatted and parsed again it must be the same. */
        char text[ENDPOINT_URL_BYTES];
        struct endpoint again;
        endpoint_format(&endpoint, text, sizeof text);
        require(endpoint_parse(&again, text, &err) == AFAR_OK);
        require(again.scheme == endpoint.scheme && again.protocol == endpoint.protocol);
        require(again.port == endpoint.port && again.inherited == endpoint.inherited);
        require(strcmp(again.host, endpoint.host) == 0 && strcmp(again.path, endpoint.path) == 0);
    } else {
        require(status == AFAR_EINVAL && err.code == AFAR_EINVAL && err.message[0] != '\0');
    }
    free(url);
}
