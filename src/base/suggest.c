#include "base/suggest.h"

#include <string.h>

enum { WRONG_MAX = 2 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned less = a < b ? a : b;
    return less < c ? less : c;
}

/* How many letters must be added, removed, replaced, or exchanged with their neighbour (the optimal
 * string alignment distance). Both words are shorter than SUGGEST_MAX_BYTES. */
static unsigned count_wrong(const char *a, const char *b)
{
    unsigned rows[SUGGEST_MAX_BYTES + 1][SUGGEST_MAX_BYTES + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    for (size_t i = 0; i <= a_size; i++)
        rows[i][0] = (unsigned)i;
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_size; i++) {
        for (size_t j = 1; j <= b_size; j++) {
            unsigned replaced = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0);
            rows[i][j] = least(replaced, rows[i - 1][j] + 1, rows[i][j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1, rows[i][j]);
        }
    }
    return rows[a_size][b_size];
}

void suggest(struct suggestion *best, const char *written, const char *candidate)
{
    size_t size = strlen(written);
    if (size >= SUGGEST_MAX_BYTES || strlen(candidate) >= SUGGEST_MAX_BYTES)
        return;
    size_t wrong = count_wrong(written, candidate);
    /* Skip a word with more wrong letters than that, or with more than half of them wrong. */
    if (wrong > WRONG_MAX || 2 * wrong > size || (best->word != NULL && wrong >= best->wrong))
        return;
    *best = (struct suggestion){.word = candidate, .wrong = (unsigned)wrong};
}
