/* Runs schedules:
 *
 *     simulate [--first SEED] [--schedules N] [--processes N] [--fault NAME | --faults]
 *     simulate --trace SEED [--fault NAME]
 *
 * Without a fault every schedule must hold, and the first that does not is told and shown. With
 * one, it must be found by some schedule. --faults: all of them, one after another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "simulate/runner.h"

struct options {
    struct runner_options run;
    bool all_faults;
    bool trace;
};

static double now(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* In a process of its own: it may end by an assertion. */
static void show_trace(uint64_t seed)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        bool held = runner_trace(seed, FAULT_NONE);
        (void)fflush(NULL);
        _exit(held ? 0 : 1);
    }
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
}

/* True: everything holds. */
static bool run(const struct runner_options *options)
{
    struct runner_result result;
    double start = now();
    runner_run(options, &result);
    double took = now() - start;
    if (!result.failed) {
        printf("%llu schedules, everything holds (%.1f s, %.0f a second)\n",
               (unsigned long long)result.done, took, (double)result.done / took);
        return true;
    }
    printf("seed %llu: %s\n", (unsigned long long)result.seed, result.problem);
    show_trace(result.seed);
    printf("again: simulate --trace %llu\n", (unsigned long long)result.seed);
    return false;
}

/* True: it was found. */
static bool find(const struct runner_options *options)
{
    struct runner_result result;
    runner_run(options, &result);
    if (result.failed)
        printf("%-20s found by schedule %6llu: %s\n", fault_name(options->fault),
               (unsigned long long)(result.seed - options->first) + 1, result.problem);
    else
        printf("%-20s NOT FOUND in %llu schedules\n", fault_name(options->fault),
               (unsigned long long)result.done);
    return result.failed;
}

static bool find_all(struct runner_options options)
{
    bool all = true;
    for (int fault = FAULT_NONE + 1; fault < FAULTS; fault++) {
        options.fault = (enum fault)fault;
        all = find(&options) && all;
    }
    return all;
}

static int usage(void)
{
    fprintf(stderr, "usage: simulate [--first SEED] [--schedules N] [--processes N]\n"
                    "                [--fault NAME | --faults] [--trace SEED]\nfaults:");
    for (int fault = FAULT_NONE + 1; fault < FAULTS; fault++)
        fprintf(stderr, " %s", fault_name((enum fault)fault));
    fprintf(stderr, "\n");
    return 2;
}

static bool find_fault(const char *name, enum fault *found)
{
    for (int fault = FAULT_NONE; fault < FAULTS; fault++) {
        if (strcmp(fault_name((enum fault)fault), name) == 0) {
            *found = (enum fault)fault;
            return true;
        }
    }
    return false;
}

static bool parse_value(struct options *options, const char *name, const char *value)
{
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(name, "--fault") == 0)
        return find_fault(value, &options->run.fault);
    if (strcmp(name, "--schedules") == 0) {
        options->run.schedules = number;
        return true;
    }
    if (strcmp(name, "--processes") == 0) {
        options->run.processes = (unsigned)number;
        return number > 0 && number <= RUNNER_PROCESSES_MAX;
    }
    options->trace = strcmp(name, "--trace") == 0;
    options->run.first = number;
    return options->trace || strcmp(name, "--first") == 0;
}

int main(int argc, char **argv)
{
    struct options options = {.run = {.schedules = 20000, .processes = 2}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--faults") == 0)
            options.all_faults = true;
        else if (i + 1 == argc || !parse_value(&options, argv[i], argv[i + 1]))
            return usage();
        else
            i++;
    }
    bool good = false;
    if (options.trace)
        good = runner_trace(options.run.first, options.run.fault);
    else if (options.all_faults)
        good = find_all(options.run);
    else
        good = options.run.fault == FAULT_NONE ? run(&options.run) : find(&options.run);
    return good ? 0 : 1;
}
