#include "afar/pin_text.h"

#include <ctype.h>
#include <string.h>

bool pin_parse(const char *text, char pin[AFAR_PIN_BYTES])
{
    static const char digits[] = "0123456789abcdefABCDEF";
    size_t before = strlen(PIN_PREFIX);
    pin[0] = '\0';
    if (strncmp(text, PIN_PREFIX, before) != 0 || strlen(text) != before + AFAR_PIN_BYTES - 1 ||
        strspn(text + before, digits) != AFAR_PIN_BYTES - 1)
        return false;
    for (size_t i = 0; i < AFAR_PIN_BYTES; i++)
        pin[i] = (char)tolower((unsigned char)text[before + i]);
    return true;
}
