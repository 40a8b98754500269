#include "stats/figures.h"

static const char *const states[JOB_STATES] = {
    [JOB_NEW] = "new",         [JOB_QUEUED] = "queued",     [JOB_SPAWNING] = "spawning",
    [JOB_RUNNING] = "running", [JOB_DRAINING] = "draining", [JOB_SWEEPING] = "sweeping",
};

static const char *const handshakes[HANDSHAKE_RESULTS] = {
    [HANDSHAKE_PLAIN] = "plain",     [HANDSHAKE_FULL] = "full",
    [HANDSHAKE_RESUMED] = "resumed", [HANDSHAKE_UNTRUSTED] = "untrusted",
    [HANDSHAKE_NOT_TLS] = "not_tls", [HANDSHAKE_CLOSED] = "closed",
    [HANDSHAKE_TIMEOUT] = "timeout", [HANDSHAKE_FAILED] = "failed",
};

void figures_job(struct figures *figures, enum job_state from, enum job_state to)
{
    (void)atomic_fetch_sub_explicit(&figures->jobs[from], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&figures->jobs[to], 1, memory_order_relaxed);
}

void figures_ended(struct figures *figures, const struct afar_receipt *receipt)
{
    figures_add(&figures->outcomes[receipt->outcome], 1);
    histogram_add(&figures->queued, (int64_t)receipt->queued_us);
    if (receipt->outcome != AFAR_OUTCOME_SPAWN_FAILED)
        histogram_add(&figures->ran, (int64_t)receipt->run_us);
}

void figures_files(struct figures *figures, const struct afar_receipt *receipt)
{
    figures_add(&figures->files_sessions, 1);
    figures_add(&figures->files_in_bytes, receipt->stdin_bytes);
    figures_add(&figures->files_out_bytes, receipt->stdout_bytes);
}

void figures_handshake(struct figures *figures, enum handshake_result result)
{
    figures_add(&figures->handshakes[result], 1);
}

const char *figures_state_name(enum job_state state)
{
    return states[state];
}

const char *figures_handshake_name(enum handshake_result result)
{
    return handshakes[result];
}
