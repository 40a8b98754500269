#include "policy/config_table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* The maximum of all durations in ms, about 24 days: poll(2) takes an int. */
#define DURATION_MAX UINT64_C(2147483647)

enum {
    NAME_MAX_BYTES = 32, /* names must be shorter to be compared; all keys are */
    DISTANCE_MAX = 2,    /* a name with so many wrong letters still resembles a key */
    PREFIX_MIN = 3       /* a common prefix of so many letters resembles a key */
};

#define AT(member) offsetof(struct config, member)

static const struct config_key keys[] = {
    {"listen", CONFIG_LISTEN, AT(listen), 0, 0, 0, "a URL to listen at, may be given again"},
    {"http", CONFIG_HTTP, AT(http), 0, 0, 0,
     "a URL to serve health and metrics at: tcp://HOST:PORT or unix:///PATH"},
    {"allow_plaintext", CONFIG_FLAG, AT(allow_plaintext), 0, 0, 0,
     "tcp and udp beyond loopback too"},
    {"tls_cert", CONFIG_PATH, AT(tls_cert), 0, 0, 0, "the server's certificate, a PEM file"},
    {"tls_key", CONFIG_PATH, AT(tls_key), 0, 0, 0, "its private key, a PEM file"},
    {"tls_client_ca", CONFIG_PATH, AT(tls_client_ca), 0, 0, 0,
     "the CA that clients' certificates must lead to, a PEM file"},
    {"tls_crl", CONFIG_PATH, AT(tls_crl), 0, 0, 0,
     "revoked client certificates: lists of the CAs, a PEM file"},
    {"tls_watch_ms", CONFIG_NUMBER, AT(tls_watch_ms), 0, DURATION_MAX, 5000,
     "how often to check whether these files were replaced; 0: never"},
    {"tls_expiry_warning", CONFIG_NUMBER, AT(tls_expiry_warning), 0, 3650, 14,
     "days before certificates end that the log says so; 0: never"},
    {"tls_chain_bytes", CONFIG_NUMBER, AT(tls_chain_bytes), 4 * KIB, 100 * KIB, 16 * KIB,
     "a client's certificates, in all"},
    {"tls_allow_12", CONFIG_FLAG, AT(tls_allow_12), 0, 0, 0, "TLS 1.2 besides 1.3"},
    {"audit_log", CONFIG_PATH, AT(audit_log), 0, 0, 0,
     "one line for each request: a file or syslog"},
    {"audit", CONFIG_CHOICE, AT(audit), 0, 0, AUDIT_REQUIRED, "required or counted"},
    {"audit_files", CONFIG_CHOICE, AT(audit_files), 0, 0, AUDIT_FILES_CHANGES,
     "changes or all or no"},
    {"audit_chain", CONFIG_FLAG, AT(audit_chain), 0, 0, 0,
     "each line has the hash of the one before"},
    {"state_directory", CONFIG_PATH, AT(state_directory), 0, 0, 0,
     "a folder of the server's own, for commands that outlive it"},
    {"keep_on_stop", CONFIG_CHOICE, AT(keep_on_stop), 0, 0, KEEP_ON_STOP_KEEP, "keep or end"},
    {"deny_reason", CONFIG_CHOICE, AT(deny_reason), 0, 0, DENY_REASON_FULL, "full or brief"},
    {"dumpable", CONFIG_FLAG, AT(dumpable), 0, 0, 0, "debuggers may attach to the server"},
    {"user", CONFIG_NAME, AT(user), 0, 0, 0,
     "the user that commands run as if their rule names none; for a server that is root"},
    {"confine", CONFIG_CHOICE, AT(confine), 0, 0, CONFINE_AUTO, "auto or yes or no"},
    {"cgroup", CONFIG_CHOICE, AT(cgroup), 0, 0, CGROUP_AUTO, "auto or no"},
    {"include", CONFIG_WORDS, AT(include), 0, 0, 0,
     "files with rules, as rules.d/*.conf, may be given again"},
    {"log_level", CONFIG_LEVEL, AT(log_level), 0, 0, LOG_LEVEL_INFO, "error, warn, info or debug"},
    {"log_format", CONFIG_FORMAT, AT(log_format), 0, 0, LOG_FORMAT_TEXT, "text or json"},

    {"workers", CONFIG_NUMBER, AT(workers), 0, 1024, 0,
     "threads; 0: twice the processors, at least 4"},
    {"bulk_workers", CONFIG_NUMBER, AT(bulk_workers), 0, 1024, 64,
     "more threads, for commands that carry much: at most the processors, or 2; 0: none"},
    {"bulk_bytes", CONFIG_NUMBER, AT(bulk_bytes), 1, 1 * GIB, 4 * MIB,
     "so much within 100 ms is much"},
    {"max_connections", CONFIG_NUMBER, AT(max_connections), 1, 1048576, 16384,
     "connections at once"},
    {"max_connections_per_address", CONFIG_NUMBER, AT(max_connections_per_address), 0, 1048576,
     1024, "the same from one address or IPv6 /64; 0: no limit"},
    {"max_unauthenticated", CONFIG_NUMBER, AT(max_unauthenticated), 1, 1048576, 2048,
     "the same in the middle of their handshake"},
    {"max_unauthenticated_per_address", CONFIG_NUMBER, AT(max_unauthenticated_per_address), 0,
     1048576, 256, "these from one address or IPv6 /64; 0: no limit"},
    {"max_jobs", CONFIG_NUMBER, AT(max_jobs), 1, 1048576, 4096,
     "commands running or starting at once"},
    {"max_jobs_per_identity", CONFIG_NUMBER, AT(max_jobs_per_identity), 0, 1048576, 1024,
     "the same of one client; 0: no limit"},
    {"max_queued", CONFIG_NUMBER, AT(max_queued), 0, 1048576, 256,
     "requests with start_within_ms that wait for their turn"},
    {"spawns_per_identity", CONFIG_NUMBER, AT(spawns_per_identity), 0, 1048576, 64,
     "commands of one client that are being started at once; 0: no limit"},
    {"refusals_per_minute", CONFIG_NUMBER, AT(refusals_per_minute), 0, 1048576, 100,
     "refused requests of one client before it is slowed to ten a second; 0: no limit"},
    {"max_stuck_spawns", CONFIG_NUMBER, AT(max_stuck_spawns), 0, 4096, 32,
     "threads that hang in starting a command and are replaced, per worker"},
    {"header_bytes", CONFIG_NUMBER, AT(header_bytes), 512, 64 * KIB, 64 * KIB, "a frame's header"},
    {"payload_bytes", CONFIG_NUMBER, AT(payload_bytes), 64 * KIB, 1 * MIB, 1 * MIB,
     "a frame's payload"},
    {"argv_bytes", CONFIG_NUMBER, AT(argv_bytes), 1, 1 * MIB, 1 * MIB, "all words of a command"},
    {"env_bytes", CONFIG_NUMBER, AT(env_bytes), 1, 1 * MIB, 256 * KIB,
     "the environment that a request adds"},
    {"handshake_timeout_ms", CONFIG_NUMBER, AT(handshake_timeout_ms), 1, DURATION_MAX, 10000,
     "from accept to the end of the TLS handshake"},
    {"first_request_timeout_ms", CONFIG_NUMBER, AT(first_request_timeout_ms), 0, DURATION_MAX,
     300000, "from then to the first request; 0: no limit"},
    {"frame_timeout_ms", CONFIG_NUMBER, AT(frame_timeout_ms), 0, DURATION_MAX, 120000,
     "from the first byte of a frame to its last; 0: no limit"},
    {"idle_timeout_ms", CONFIG_NUMBER, AT(idle_timeout_ms), 0, DURATION_MAX, 0,
     "a connection without a command and without a byte; 0: no limit"},
    {"write_timeout_ms", CONFIG_NUMBER, AT(write_timeout_ms), 0, DURATION_MAX, 60000,
     "a client that takes nothing of what waits for it; 0: no limit"},
    {"keepalive_ms", CONFIG_NUMBER, AT(keepalive_ms), 0, DURATION_MAX, 60000,
     "TCP: silence before the client's machine is asked; 0: never"},
    {"tcp_user_timeout_ms", CONFIG_NUMBER, AT(tcp_user_timeout_ms), 0, DURATION_MAX, 60000,
     "TCP: nothing acknowledged for so long; 0: the system's choice"},
    {"heartbeat_ms", CONFIG_NUMBER, AT(heartbeat_ms), 0, DURATION_MAX, 30000,
     "a command runs and its client is silent: a ping; 0: never"},
    {"heartbeat_timeout_ms", CONFIG_NUMBER, AT(heartbeat_timeout_ms), 0, DURATION_MAX, 120000,
     "the client is silent in spite of it; 0: no limit"},
    {"pause_max_ms", CONFIG_NUMBER, AT(pause_max_ms), 0, DURATION_MAX, 86400000,
     "a client on a terminal that is stopped (Ctrl-Z) may be silent; 0: not at all"},
    {"spawn_timeout_ms", CONFIG_NUMBER, AT(spawn_timeout_ms), 0, DURATION_MAX, 10000,
     "for a command's chdir and execve; 0: no limit"},
    {"job_timeout_ms", CONFIG_NUMBER, AT(job_timeout_ms), 0, DURATION_MAX, 0,
     "upper bound for any command's time; 0: no limit"},
    {"kill_grace_ms", CONFIG_NUMBER, AT(kill_grace_ms), 0, DURATION_MAX, 5000, "from TERM to KILL"},
    {"linger_ms", CONFIG_NUMBER, AT(linger_ms), 0, DURATION_MAX, 1000,
     "silence before output held open after a command's end is cut; 0: no limit"},
    {"linger_max_ms", CONFIG_NUMBER, AT(linger_max_ms), 1, DURATION_MAX, 10000,
     "the same, silent or not"},
    {"resume_ms", CONFIG_NUMBER, AT(resume_ms), 0, DURATION_MAX, 60000,
     "a command waits so long for a client whose connection was lost; 0: it does not"},
    {"keep_max", CONFIG_NUMBER, AT(keep_max), 1, 100000, 1000,
     "kept commands, those that have ended too"},
    {"keep_per_identity", CONFIG_NUMBER, AT(keep_per_identity), 0, 100000, 100,
     "the same of one client; 0: no limit"},
    {"left_max", CONFIG_NUMBER, AT(left_max), 0, 65536, 1024,
     "processes that commands leave running (may = leave)"},
    {"left_per_identity", CONFIG_NUMBER, AT(left_per_identity), 0, 65536, 64,
     "the same of one client; 0: no limit"},
    {"spool_bytes", CONFIG_NUMBER, AT(spool_bytes), 1 * MIB, 1024 * GIB, 64 * MIB,
     "output of a kept command on the disk"},
    {"keep_bytes", CONFIG_NUMBER, AT(keep_bytes), 1 * MIB, 1024 * GIB, 1 * GIB,
     "the same of all; of those that have ended the oldest output goes first"},
    {"keep_ms", CONFIG_NUMBER, AT(keep_ms), 0, DURATION_MAX, 86400000,
     "from a kept command's end to the removal of its output"},
    {"key_ms", CONFIG_NUMBER, AT(key_ms), 0, DURATION_MAX, 86400000,
     "and to that of its name and receipt"},
    {"drain_ms", CONFIG_NUMBER, AT(drain_ms), 0, DURATION_MAX, 10000,
     "commands may go on for so long after the server's TERM"},
    {"last_words_ms", CONFIG_NUMBER, AT(last_words_ms), 0, DURATION_MAX, 5000,
     "then, and kill_grace_ms later: for clients to take what is left"},
    /* At least OUTPUT_LOG_CAPACITY_MIN of wire/output_log.h; test_config_table.c compares. */
    {"output_log_bytes", CONFIG_NUMBER, AT(output_log_bytes), 256 * KIB, 64 * MIB, 2 * MIB,
     "output that the client has not acknowledged, per command"},
    /* At least MESSAGE_STDIN_CREDIT_BYTES of wire/message.h; test_config_table.c compares. */
    {"stdin_bytes", CONFIG_NUMBER, AT(stdin_bytes), 256 * KIB, 64 * MIB, 1 * MIB,
     "input that the command has not taken, per command"},
    {"files_window_bytes", CONFIG_NUMBER, AT(files_window_bytes), 256 * KIB, 64 * MIB, 8 * MIB,
     "the same two where files are served, to begin with"},
    {"window_max_bytes", CONFIG_NUMBER, AT(window_max_bytes), 0, 64 * MIB, 16 * MIB,
     "each of these, where the way to the client is long; 0: they do not grow"},
    {"window_total_bytes", CONFIG_NUMBER, AT(window_total_bytes), 0, 64 * GIB, 0,
     "what they have grown by, all together; 0: an eighth of the memory, at most 256 MiB"},
    {"control_queue_bytes", CONFIG_NUMBER, AT(control_queue_bytes), 4 * KIB, 16 * MIB, 64 * KIB,
     "replies to control frames that wait, per connection"},
    {"request_bytes", CONFIG_NUMBER, AT(request_bytes), 1, 16 * MIB, 64 * KIB,
     "headed, sized: length of a command"},
    {"collect_memory_bytes", CONFIG_NUMBER, AT(collect_memory_bytes), 4 * KIB, 1 * GIB, 1 * MIB,
     "headed, sized: output kept in memory, per stream"},
    /* At most TUTORIAL_SIZE_MAX of wire/tutorial.h. */
    {"collect_max_bytes", CONFIG_NUMBER, AT(collect_max_bytes), 1, INT32_MAX, 1 * GIB,
     "headed, sized: output in all"},
    {"quiet_ms", CONFIG_NUMBER, AT(quiet_ms), 1, 60000, 20,
     "headed, sized: silence that ends a request"},
    {"udp_rate_per_second", CONFIG_NUMBER, AT(udp_rate_per_second), 1, 1000000, 1000,
     "upper over UDP: datagrams answered"},
};

enum { KEYS = sizeof keys / sizeof keys[0] };
_Static_assert((int)KEYS <= (int)CONFIG_KEYS_MAX, "raise CONFIG_KEYS_MAX");

const struct config_key *config_keys(size_t *count)
{
    *count = KEYS;
    return keys;
}

const struct config_key *config_key_find(const char *name)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The Levenshtein distance: how many letters must be added, removed or replaced. Both are shorter
 * than NAME_MAX_BYTES. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_BYTES];
    size_t columns = strlen(b);
    for (unsigned j = 0; j <= columns; j++)
        row[j] = j;
    for (unsigned i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (unsigned j = 0; j < columns; j++) {
            unsigned replaced = diagonal + (a[i] != b[j] ? 1 : 0);
            diagonal = row[j + 1];
            row[j + 1] = smaller(replaced, smaller(row[j], row[j + 1]) + 1);
        }
    }
    return row[columns];
}

/* How different the name is from the key; above DISTANCE_MAX: does not resemble it. */
static unsigned difference(const char *name, const char *key)
{
    size_t length = strlen(name);
    if (length >= NAME_MAX_BYTES)
        return DISTANCE_MAX + 1;
    unsigned wrong = distance(name, key);
    if (wrong <= DISTANCE_MAX && wrong < length)
        return wrong;
    size_t common = length < strlen(key) ? length : strlen(key);
    if (common >= PREFIX_MIN && strncmp(name, key, common) == 0)
        return DISTANCE_MAX;
    return DISTANCE_MAX + 1;
}

static void append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

void config_key_unknown(const char *name, char *text, size_t size)
{
    const struct config_key *found[CONFIG_SUGGESTIONS_MAX] = {NULL};
    unsigned count = 0;

    /* Only the most similar ones. */
    for (unsigned wrong = 0; wrong <= DISTANCE_MAX && count == 0; wrong++) {
        for (size_t i = 0; i < KEYS && count < CONFIG_SUGGESTIONS_MAX; i++) {
            if (difference(name, keys[i].name) == wrong)
                found[count++] = &keys[i];
        }
    }

    (void)snprintf(text, size, "unknown key '%.60s'", name);
    if (count == 0) {
        append(text, size, "; afard.conf(5) lists the keys");
        return;
    }
    append(text, size, ": did you mean '%s'", found[0]->name);
    if (count == 1)
        append(text, size, " (%s)", found[0]->help);
    for (unsigned i = 1; i < count; i++)
        append(text, size, "%s'%s'", i + 1 == count ? " or " : ", ", found[i]->name);
    append(text, size, "?");
}
