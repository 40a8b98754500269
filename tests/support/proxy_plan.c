/* Plans for a proxy. */
#include "support/proxy.h"

#include <stdio.h>
#include <string.h>

#include "support/seeded.h"

enum {
    RANDOM_STEPS_MAX = 10,
    FORWARD_MOST = 1 << 17, /* small ones fall into frame headers, large ones into output */
    SINGLE_MOST = 1 << 9,   /* each byte costs both peers a turn */
    DELAY_MOST_MS = 1 << 3
};

static struct proxy_step random_step(struct seeded *seeded)
{
    switch (seeded_below(seeded, 5)) {
    case 0:
    case 1:
        return (struct proxy_step){PROXY_FORWARD, seeded_size(seeded, FORWARD_MOST)};
    case 2:
        return (struct proxy_step){PROXY_SINGLE, seeded_size(seeded, SINGLE_MOST)};
    case 3:
        return (struct proxy_step){PROXY_HOLD, seeded_size(seeded, DELAY_MOST_MS)};
    default:
        return (struct proxy_step){PROXY_STOP, seeded_size(seeded, DELAY_MOST_MS)};
    }
}

void proxy_plan_random(struct proxy_plan *plan, uint64_t seed)
{
    static const enum proxy_action cuts[] = {PROXY_FIN, PROXY_RESET, PROXY_HALF_CLOSE};
    struct seeded seeded = {seed};
    *plan = (struct proxy_plan){.count = {0}};
    for (int d = 0; d < 2; d++) {
        plan->count[d] = 1 + seeded_below(&seeded, RANDOM_STEPS_MAX);
        for (unsigned i = 0; i < plan->count[d]; i++)
            plan->steps[d][i] = random_step(&seeded);
    }
    plan->narrow = seeded_below(&seeded, 2) == 0;
    if (seeded_below(&seeded, 2) == 0)
        return;
    unsigned d = seeded_below(&seeded, 2);
    unsigned at = seeded_below(&seeded, plan->count[d] + 1);
    plan->steps[d][at] = (struct proxy_step){cuts[seeded_below(&seeded, 3)], 0};
    plan->count[d] = at + 1;
}

void proxy_plan_cut(struct proxy_plan *plan, enum proxy_direction direction, unsigned after,
                    enum proxy_action action)
{
    *plan = (struct proxy_plan){.count = {0}};
    plan->steps[direction][0] = (struct proxy_step){PROXY_FORWARD, after};
    plan->steps[direction][1] = (struct proxy_step){action, 0};
    plan->count[direction] = 2;
}

void proxy_plan_format(const struct proxy_plan *plan, char *text, size_t size)
{
    static const char *const directions[] = {"to server:", "; to client:"};
    static const char *const actions[] = {[PROXY_FORWARD] = "forward",
                                          [PROXY_SINGLE] = "single",
                                          [PROXY_HOLD] = "hold",
                                          [PROXY_STOP] = "stop",
                                          [PROXY_FIN] = "fin",
                                          [PROXY_RESET] = "reset",
                                          [PROXY_HALF_CLOSE] = "half-close"};
    (void)snprintf(text, size, "%s", plan->narrow ? "narrow, " : "");
    for (int d = 0; d < 2; d++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, size - used, "%s", directions[d]);
        for (unsigned i = 0; i < plan->count[d]; i++) {
            const struct proxy_step *step = &plan->steps[d][i];
            used = strlen(text);
            (void)snprintf(text + used, size - used, "%s %s %u", i > 0 ? "," : "",
                           actions[step->action], step->amount);
        }
    }
}
