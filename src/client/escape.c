#include "base/escape.h"

#include <afar/afar.h>

_Static_assert((int)AFAR_ESCAPE_TERMINAL == (int)ESCAPE_TERMINAL &&
                   (int)AFAR_ESCAPE_STRING == (int)ESCAPE_STRING,
               "the two enums are one");

void afar_escape(char *out, size_t size, const char *text, enum afar_escape how)
{
    escape_text(out, size, text, (enum escape)how);
}
