#include "afar/job_name.h"

#include <stdio.h>
#include <string.h>

#include "afar/report.h"
#include "base/error.h"
#include "base/utf8.h"

enum { PREFIX_MIN = 4, MATCHES_SHOWN = 8 };

static const char once[] = "once:";

struct search {
    const char *text;
    bool by_name;
    bool ended; /* match only jobs that have ended */
    bool pty;   /* the last one found is on a terminal */
    size_t count;
    char found[MATCHES_SHOWN][JOB_NAME_BYTES];
};

static void look(void *user, const struct afar_job *job)
{
    struct search *search = user;
    bool matches = search->by_name ? job->key[0] != '\0' && strcmp(job->key, search->text) == 0
                                   : strncmp(job->job, search->text, strlen(search->text)) == 0;
    if (!matches || (search->ended && strcmp(job->state, "ended") != 0))
        return;
    search->pty = job->pty;
    if (search->count < MATCHES_SHOWN)
        (void)snprintf(search->found[search->count], JOB_NAME_BYTES, "%s", job->job);
    search->count++;
}

static void set_reason(struct afar_error *err, const char *reason)
{
    (void)snprintf(err->reason, sizeof err->reason, "%s", reason);
}

static void fail_several(const struct search *search, const char *text, struct afar_error *err)
{
    char list[MATCHES_SHOWN * (JOB_NAME_BYTES + 2)] = "";
    char *at = list;
    for (size_t i = 0; i < search->count && i < MATCHES_SHOWN; i++)
        at += snprintf(at, sizeof list - (size_t)(at - list), "%s%s", i > 0 ? ", " : "",
                       search->found[i]);
    (void)afar_fail(err, AFAR_EREFUSED, "'%s' may be several jobs: %s%s", text, list,
                    search->count > MATCHES_SHOWN ? ", …" : "");
    set_reason(err, "bad_request");
}

static bool ask(struct remote *remote, struct search *search, struct afar_error *err)
{
    return afar_jobs(remote->client, true, look, search, remote->connect_timeout_ms, err) ==
           AFAR_OK;
}

bool job_name_is_sound(const char *name)
{
    return name[0] != '\0' && utf8_plain(name);
}

bool job_name_find_ended(struct remote *remote, const char *name, char job[JOB_NAME_BYTES])
{
    struct search search = {.text = name, .by_name = true, .ended = true};
    struct afar_error err = {0};
    job[0] = '\0';
    if (!ask(remote, &search, &err)) {
        report("%s", err.message);
        return false;
    }
    if (search.count > 0)
        (void)snprintf(job, JOB_NAME_BYTES, "%s", search.found[0]);
    return true;
}

bool job_name_find(struct remote *remote, const char *text, char job[JOB_NAME_BYTES], bool *pty,
                   struct afar_error *err)
{
    struct search search = {.text = text};
    if (strncmp(text, once, sizeof once - 1) == 0) {
        search.by_name = true;
        search.text = text + sizeof once - 1;
        if (!job_name_is_sound(search.text)) {
            (void)afar_fail(err, AFAR_EREFUSED,
                            "'%s': a name follows once:, in UTF-8 and without control characters",
                            text);
            set_reason(err, "bad_request");
            return false;
        }
    } else if (strlen(text) == JOB_NAME_BYTES - 1 && pty == NULL) {
        (void)snprintf(job, JOB_NAME_BYTES, "%s", text);
        return true;
    } else if (strlen(text) < PREFIX_MIN) {
        (void)afar_fail(err, AFAR_EREFUSED,
                        "'%s' is not a job: give its id, %d letters of it or more, or once:NAME",
                        text, PREFIX_MIN);
        set_reason(err, "bad_request");
        return false;
    }
    if (!ask(remote, &search, err))
        return false;
    if (pty != NULL)
        *pty = search.pty;
    if (search.count == 0) {
        (void)afar_fail(err, AFAR_EREFUSED, "%s has no job '%s'", remote->host, text);
        set_reason(err, "not_found");
    } else if (search.count > 1) {
        fail_several(&search, text, err);
    } else {
        (void)snprintf(job, JOB_NAME_BYTES, "%s", search.found[0]);
    }
    return search.count == 1;
}
