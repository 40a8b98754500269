#include "bench/soak.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/program.h"

/* In the child. It must not outlive this program, whose end may be a soak_give_up. */
_Noreturn static void become(char *const *argv, const char *path, int out, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
        dup2(out, STDOUT_FILENO) == STDOUT_FILENO)
        (void)execv(path, argv);
    _exit(127);
}

/* One line of "listening URL". */
static void read_url(int fd, char *url, size_t size)
{
    static const char prefix[] = "listening ";
    char line[256];
    size_t used = 0;
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, SOAK_PATIENCE_MS) != 1 || read(fd, line + used, 1) != 1)
            soak_give_up("afard does not start");
        if (line[used] == '\n')
            break;
        used += used + 1 < sizeof line;
    }
    line[used] = '\0';
    if (strncmp(line, prefix, sizeof prefix - 1) != 0)
        soak_give_up("afard says '%s'", line);
    (void)snprintf(url, size, "%s", line + sizeof prefix - 1);
}

void soak_server_start(struct soak_server *server, const struct soak *soak, const char *const *args)
{
    const struct test_certs *certs = &soak->certs;
    const char *argv[SOAK_ARGS_MAX + 16] = {
        "afard",           "--print-endpoints",      "--log-level", "error",
        "--tls-cert",      certs->cert[TEST_SERVER], "--tls-key",   certs->key[TEST_SERVER],
        "--tls-client-ca", certs->cert[TEST_CA]};
    char path[PROGRAM_TEXT_BYTES];
    unsigned count = 10;
    unsigned listeners = 0;
    int ends[2];
    for (; *args != NULL; args++) {
        listeners += strcmp(*args, "--listen") == 0;
        argv[count++] = *args;
    }
    if (pipe2(ends, O_CLOEXEC) != 0)
        soak_give_up("cannot make a pipe");
    (void)program_path("afard", path);
    pid_t parent = getpid();
    *server = (struct soak_server){.pid = fork()};
    if (server->pid < 0)
        soak_give_up("cannot fork");
    if (server->pid == 0)
        become((char *const *)argv, path, ends[1], parent);
    (void)close(ends[1]);
    for (unsigned i = 0; i < listeners; i++)
        read_url(ends[0], server->url[i], sizeof server->url[i]);
    (void)close(ends[0]);
}

void soak_server_stop(struct soak_server *server)
{
    int status = 0;
    if (kill(server->pid, SIGTERM) != 0 || waitpid(server->pid, &status, 0) != server->pid)
        soak_give_up("afard has gone");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        soak_give_up("afard ended with wait status %d", status);
}

uint16_t soak_port(const char *url)
{
    const char *colon = strrchr(url, ':');
    return colon == NULL ? 0 : (uint16_t)strtoul(colon + 1, NULL, 10);
}

double soak_pss_kib(pid_t pid)
{
    char path[64];
    char line[256];
    long kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Pss: %ld kB", &kib) == 1) // NOLINT(cert-err34-c): the kernel's own
            break;
    }
    if (file == NULL || kib < 0)
        soak_give_up("cannot read %s%s", path,
                     geteuid() != 0 ? ": only root sees a server's memory" : "");
    (void)fclose(file);
    return (double)kib;
}

double soak_cpu_ms(pid_t pid)
{
    char path[64];
    char text[1024] = "";
    unsigned long user = 0;
    unsigned long system = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    const char *rest = NULL;
    if (file != NULL && fgets(text, sizeof text, file) != NULL)
        rest = strrchr(text, ')');
    // NOLINTNEXTLINE(cert-err34-c): the kernel's own
    if (rest == NULL || sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                               &user, &system) != 2)
        soak_give_up("cannot read %s", path);
    (void)fclose(file);
    return (double)(user + system) * 1000.0 / (double)sysconf(_SC_CLK_TCK);
}

unsigned soak_children(pid_t pid)
{
    char path[300];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        soak_give_up("cannot read %s", path);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        int child = 0;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, entry->d_name);
        FILE *file = fopen(path, "re");
        while (file != NULL && fscanf(file, "%d", &child) == 1) // NOLINT(cert-err34-c)
            count++;
        if (file != NULL)
            (void)fclose(file);
    }
    (void)closedir(folder);
    return count;
}

void soak_descriptors(unsigned count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < count)
        soak_give_up("needs %u descriptors, the hard limit is %lu", count,
                     (unsigned long)limit.rlim_max);
    if (limit.rlim_cur < count) {
        limit.rlim_cur = count;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            soak_give_up("cannot raise the limit on descriptors");
    }
}
