/* Measures times for `make bench`. Prints a line for each measurement, "NAME number", and leaves
 * the arithmetic to others.
 *
 * Certificates: AFAR_CA, AFAR_CERT, AFAR_KEY. */
#include "bench/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "clock turns ROUNDS FILE [PACE_MS]\n"
    "    each line of FILE is a contestant, its words separated by tabs:\n"
    "        NAME spawn\n"
    "        NAME connection|terminal|started|kept URL\n"
    "        NAME program [empty=FOLDER] [as=NAME] [VARIABLE=VALUE...] PROGRAM WORDS...\n"
    "    all are run once in each round, in an order that changes; PACE_MS: a round begins only\n"
    "    that long after the one before began\n"
    "clock rate SECONDS COUNT WORDS...\n"
    "    one contestant, COUNT at once: how many have ended in a second\n"
    "clock hold URL COUNT [[--keep] [--resume] COMMAND...]\n"
    "    keeps so many connections, with a command each once a line has come on\n"
    "    standard input, until that ends\n"
    "clock resume URL MIB CUTS COMMAND...\n"
    "    a command whose connection is cut CUTS times, after each MIB of output\n"
    "    (CUTS 0: never); how fast its output comes after the first MIB, and how\n"
    "    long it takes from each cut until there is more\n"
    "clock start ROUNDS listening PROGRAM WORDS...\n"
    "    until a ping over TCP is answered\n"
    "clock start ROUNDS greeting PORT PROGRAM WORDS...\n"
    "    until the first byte comes from that port\n"
    "clock relay [ROUND_TRIP_MS]\n"
    "    standard input to standard output, by way of TCP, and of such a relay\n"
    "clock far PORT ROUND_TRIP_MS\n"
    "    a relay to that port in which everything takes so long; prints its own";

void clock_give_up(const char *what, const char *why)
{
    (void)fprintf(stderr, "clock: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static int number(const char *text)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > 1000000)
        clock_give_up(text, "not a number between 1 and 1,000,000");
    return (int)value;
}

static bool run(int argc, char **argv)
{
    const char *what = argc >= 2 ? argv[1] : "";
    if (strcmp(what, "relay") == 0 && argc <= 3) {
        clock_relay(argc == 3 ? number(argv[2]) : 0);
        return true;
    }
    if (argc < 4)
        return false;
    if (strcmp(what, "turns") == 0)
        clock_turns(number(argv[2]), argv[3], argc > 4 ? number(argv[4]) : 0);
    else if (strcmp(what, "far") == 0)
        clock_far(number(argv[2]), number(argv[3]));
    else if (strcmp(what, "rate") == 0 && argc >= 5)
        clock_rate(number(argv[2]), number(argv[3]), argv + 4);
    else if (strcmp(what, "hold") == 0)
        clock_hold(argv[2], number(argv[3]), argv + 4);
    else if (strcmp(what, "resume") == 0 && argc >= 6)
        clock_resume(argv[2], number(argv[3]), (int)strtol(argv[4], NULL, 10), argv + 5);
    else if (strcmp(what, "start") == 0 && argc >= 5)
        clock_start(number(argv[2]), argv + 3);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (!run(argc, argv))
        clock_give_up("usage", usage);
    return EXIT_SUCCESS;
}
