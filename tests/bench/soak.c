/* make soak: the scenarios in turn, or those that are named.
 *
 *     soak [--short] [idle] [sleeps] [cycles] [handshakes] [slow] */
#include "bench/soak.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct scenario {
    const char *name;
    void (*run)(struct soak *);
} scenarios[] = {
    {"idle", soak_idle},     {"sleeps", soak_sleeps},
    {"cycles", soak_cycles}, {"handshakes", soak_handshakes},
    {"slow", soak_slow},
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* The folder of certificates is removed at the end, also of soak_give_up. */
static struct soak soak;

static void line(const char *name, double measured, const char *unit, const char *verdict)
{
    (void)printf("%-58s %10.2f %-6s %s\n", name, measured, unit, verdict);
    (void)fflush(stdout);
}

static void judge(struct soak *it, const char *name, double measured, const char *unit,
                  const char *relation, double bound, bool good)
{
    char verdict[64];
    (void)snprintf(verdict, sizeof verdict, "%s %.2f: %s", relation, bound, good ? "ok" : "FAILED");
    line(name, measured, unit, verdict);
    it->figures++;
    it->failed += !good;
}

void soak_at_most(struct soak *it, const char *name, double measured, double bound,
                  const char *unit)
{
    judge(it, name, measured, unit, "at most", bound, measured <= bound);
}

void soak_at_least(struct soak *it, const char *name, double measured, double bound,
                   const char *unit)
{
    judge(it, name, measured, unit, "at least", bound, measured >= bound);
}

void soak_note(const char *name, double measured, const char *unit)
{
    line(name, measured, unit, "");
}

void soak_give_up(const char *format, ...)
{
    va_list arguments;
    (void)fflush(stdout);
    (void)fputs("soak: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static void clean_up(void)
{
    test_certs_remove(&soak.certs);
}

static bool wanted(const struct scenario *scenario, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--short") == 0)
            continue;
        any = true;
        if (strcmp(argv[i], scenario->name) == 0)
            return true;
    }
    return !any;
}

int main(int argc, char **argv)
{
    unsigned ran = 0;
    for (int i = 1; i < argc; i++)
        soak.is_short |= strcmp(argv[i], "--short") == 0;
    (void)signal(SIGPIPE, SIG_IGN);
    if (!test_certs_make(&soak.certs) || atexit(clean_up) != 0)
        return EXIT_FAILURE;
    for (unsigned i = 0; i < SCENARIOS; i++) {
        if (!wanted(&scenarios[i], argc, argv))
            continue;
        double begin_us = soak_now_us();
        scenarios[i].run(&soak);
        char name[64];
        (void)snprintf(name, sizeof name, "%s: took", scenarios[i].name);
        soak_note(name, (soak_now_us() - begin_us) / 1e6, "s");
        ran++;
    }
    if (ran == 0)
        soak_give_up("no such scenario; there are idle, sleeps, cycles, handshakes, slow");
    (void)printf("%u figures, %u FAILED\n", soak.figures, soak.failed);
    return soak.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
