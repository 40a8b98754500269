#include "bench/soak.h"

#include <stdlib.h>
#include <time.h>

void soak_samples_add(struct soak_samples *samples, double value)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity == 0 ? 256 : 2 * samples->capacity;
        double *longer = realloc(samples->at, samples->capacity * sizeof *longer);
        if (longer == NULL)
            soak_give_up("out of memory");
        samples->at = longer;
    }
    samples->at[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

double soak_quantile(struct soak_samples *samples, double part)
{
    if (samples->count == 0)
        soak_give_up("nothing was measured");
    qsort(samples->at, samples->count, sizeof samples->at[0], compare);
    return samples->at[(size_t)(part * (double)(samples->count - 1))];
}

void soak_samples_free(struct soak_samples *samples)
{
    free(samples->at);
    *samples = (struct soak_samples){0};
}

double soak_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void soak_sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}
