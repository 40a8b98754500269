#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/exposure.h"
#include "support/folder.h"

enum { SOMEBODY = 54881, THEIR_GROUP = 54882 };

/* A folder that only we can write to, with files of the server's; /tmp above is everybody's, but
 * its entries are ours. */
struct place {
    char folder[64];
    char key[PATH_MAX];
    struct config config;
};

static void touch(const char *path, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char folder[PATH_MAX];
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/afar-exposure-XXXXXX");
    if (mkdtemp(place->folder) == NULL || chmod(place->folder, 0755) != 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s/tls", place->folder);
    (void)snprintf(place->key, sizeof place->key, "%s/tls/key.pem", place->folder);
    if (mkdir(folder, 0755) != 0)
        return -1;
    touch(place->key, 0600);
    config_init(&place->config);
    if (config_set(&place->config, "tls_key", place->key, NULL) != AFAR_OK)
        return -1;
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    config_close(&place->config);
    int failed = folder_remove(place->folder);
    free(place);
    return failed;
}

static const struct exposure_who somebody = {.uid = SOMEBODY, .gid = SOMEBODY};

/* How many files they can read and change. */
static void assert_can(const struct place *place, const struct exposure_who *who, size_t reads,
                       size_t changes)
{
    struct exposure exposure;
    assert_int_equal(exposure_find(&exposure, &place->config, who, NULL), AFAR_OK);
    assert_int_equal(exposure.reads.count, reads);
    assert_int_equal(exposure.changes.count, changes);
    assert_true((exposure.folders.count > 0) == (reads + changes > 0));
    exposure_close(&exposure);
}

static void set_folder_mode(const struct place *place, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s%s", place->folder, name);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_modes(void **state)
{
    const struct place *place = *state;
    const gid_t group = getegid();
    const struct exposure_who member = {
        .uid = SOMEBODY, .gid = THEIR_GROUP, .groups = &group, .group_count = 1};
    assert_can(place, &somebody, 0, 0);
    assert_int_equal(chmod(place->key, 0640), 0);
    assert_can(place, &somebody, 0, 0);
    assert_can(place, &member, 1, 0);
    assert_int_equal(chmod(place->key, 0660), 0);
    assert_can(place, &member, 1, 1);
    assert_int_equal(chmod(place->key, 0604), 0);
    assert_can(place, &somebody, 1, 0);
    assert_can(place, &member, 0, 0); /* the group's bits count, and no others */
    assert_int_equal(chmod(place->key, 0602), 0);
    assert_can(place, &somebody, 0, 1);
    /* Nobody gets through to it. */
    set_folder_mode(place, "/tls", 0700);
    assert_can(place, &somebody, 0, 0);
    set_folder_mode(place, "/tls", 0755);
    set_folder_mode(place, "", 0700);
    assert_can(place, &somebody, 0, 0);
}

static void test_folders(void **state)
{
    const struct place *place = *state;
    /* What cannot be opened can be replaced, in any folder on the way. */
    set_folder_mode(place, "/tls", 0757);
    assert_can(place, &somebody, 0, 1);
    set_folder_mode(place, "/tls", 01757); /* but not here, by others */
    assert_can(place, &somebody, 0, 0);
    set_folder_mode(place, "/tls", 0755);
    set_folder_mode(place, "", 0757);
    assert_can(place, &somebody, 0, 1);
}

/* The owner can change the mode first; root need not. */
static void test_owner_and_root(void **state)
{
    const struct place *place = *state;
    const struct exposure_who own = {.uid = geteuid(), .gid = getegid()};
    const struct exposure_who root = {.uid = 0, .gid = 0};
    assert_int_equal(chmod(place->key, 0), 0);
    assert_can(place, &own, 1, 1);
    assert_can(place, &root, 1, 1);
}

static void test_links(void **state)
{
    struct place *place = *state;
    char real[PATH_MAX];
    char folder[PATH_MAX];
    struct exposure exposure;
    /* As in a volume of Kubernetes: key.pem → ..data/key.pem, ..data → ..1 */
    (void)snprintf(folder, sizeof folder, "%s/tls/..1", place->folder);
    (void)snprintf(real, sizeof real, "%s/tls/..1/key.pem", place->folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    touch(real, 0604);
    assert_int_equal(unlink(place->key), 0);
    assert_int_equal(symlink("..data/key.pem", place->key), 0);
    (void)snprintf(real, sizeof real, "%s/tls/..data", place->folder);
    assert_int_equal(symlink("..1", real), 0);
    assert_int_equal(exposure_find(&exposure, &place->config, &somebody, NULL), AFAR_OK);
    assert_int_equal(exposure.reads.count, 1);
    assert_int_equal(exposure.changes.count, 0);
    assert_int_equal(exposure.folders.count, 2);
    assert_string_equal(exposure.folders.at[1], folder);
    exposure_close(&exposure);
    /* The file is safe, but not the link to it. */
    (void)snprintf(real, sizeof real, "%s/tls/..1/key.pem", place->folder);
    assert_int_equal(chmod(real, 0600), 0);
    assert_can(place, &somebody, 0, 0);
    set_folder_mode(place, "/tls", 0757);
    assert_can(place, &somebody, 0, 1);
}

/* The file is safe, and so is the link to it, but not the link between them. */
static void test_a_link_between(void **state)
{
    struct place *place = *state;
    char real[PATH_MAX];
    char between[PATH_MAX];
    char folder[PATH_MAX];
    struct exposure exposure;
    (void)snprintf(real, sizeof real, "%s/real", place->folder);
    (void)snprintf(folder, sizeof folder, "%s/middle", place->folder);
    (void)snprintf(between, sizeof between, "%s/middle/link", place->folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    touch(real, 0600);
    assert_int_equal(unlink(place->key), 0);
    assert_int_equal(symlink(between, place->key), 0);
    assert_int_equal(symlink(real, between), 0);
    assert_can(place, &somebody, 0, 0);
    assert_int_equal(chmod(folder, 0757), 0);
    assert_int_equal(exposure_find(&exposure, &place->config, &somebody, NULL), AFAR_OK);
    assert_int_equal(exposure.changes.count, 1);
    assert_int_equal(exposure.folders.count, 3); /* the name's, the link's, the file's */
    assert_string_equal(exposure.folders.at[1], folder);
    exposure_close(&exposure);
    /* A folder that only passes on is not closed to commands: it may be /etc. */
    assert_int_equal(chmod(folder, 0755) | chmod(real, 0604), 0);
    assert_int_equal(exposure_find(&exposure, &place->config, &somebody, NULL), AFAR_OK);
    assert_int_equal(exposure.reads.count, 1);
    assert_int_equal(exposure.folders.count, 2);
    exposure_close(&exposure);
    /* In a circle there is no file. */
    assert_int_equal(unlink(between) | symlink(place->key, between), 0);
    assert_can(place, &somebody, 0, 0);
}

/* What nobody gets into can still be renamed, with another in its place. */
static void test_a_closed_folder_is_replaced(void **state)
{
    const struct place *place = *state;
    set_folder_mode(place, "/tls", 0700);
    set_folder_mode(place, "", 0757);
    assert_can(place, &somebody, 0, 1);
}

static void test_which_files(void **state)
{
    struct place *place = *state;
    const struct exposure_who root = {.uid = 0, .gid = 0};
    struct exposure exposure;
    char other[PATH_MAX];
    (void)snprintf(other, sizeof other, "%s/a", place->folder);
    assert_int_equal(config_set(&place->config, "audit_log", "syslog", NULL), AFAR_OK);
    assert_can(place, &root, 1, 1);
    assert_int_equal(config_set(&place->config, "audit_log", other, NULL), AFAR_OK);
    assert_can(place, &root, 1, 2); /* it is not there yet */
    touch(other, 0600);
    assert_can(place, &root, 2, 2);
    assert_int_equal(config_set(&place->config, "tls_client_ca", other, NULL), AFAR_OK);
    assert_int_equal(config_set(&place->config, "tls_cert", other, NULL), AFAR_OK);
    assert_int_equal(words_add(&place->config.files, other, strlen(other), NULL), AFAR_OK);
    assert_int_equal(exposure_find(&exposure, &place->config, &root, NULL), AFAR_OK);
    assert_int_equal(exposure.reads.count, 2);
    assert_int_equal(exposure.changes.count, 5);
    assert_non_null(strstr(exposure.changes.at[4], "the configuration /tmp/"));
    exposure_close(&exposure);
    /* A name that leads nowhere, and a relative one. */
    assert_int_equal(config_set(&place->config, "tls_key", "/nonexistent/key", NULL), AFAR_OK);
    assert_int_equal(config_set(&place->config, "tls_crl", "nonexistent", NULL), AFAR_OK);
    assert_int_equal(exposure_find(&exposure, &place->config, &root, NULL), AFAR_OK);
    assert_int_equal(exposure.reads.count, 1);
    assert_int_equal(exposure.changes.count, 5);
    exposure_close(&exposure);
}

static void test_climb(void **state)
{
    const struct place *place = *state;
    const struct exposure_who own = {.uid = geteuid(), .gid = getegid()};
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/tls", place->folder);
    exposure_climb(folder, &somebody);
    assert_string_equal(folder, "/tmp"); /* everybody can make something there */
    (void)snprintf(folder, sizeof folder, "%s/tls", place->folder);
    exposure_climb(folder, &own);
    assert_string_equal(folder, geteuid() == 0 ? "/" : "/tmp");
    (void)snprintf(folder, sizeof folder, "/usr/bin");
    exposure_climb(folder, &somebody);
    assert_string_equal(folder, "/usr/bin");
    (void)snprintf(folder, sizeof folder, "/");
    exposure_climb(folder, &somebody);
    assert_string_equal(folder, "/");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_modes),          TEST(test_folders),
        TEST(test_owner_and_root), TEST(test_links),
        TEST(test_which_files),    TEST(test_climb),
        TEST(test_a_link_between), TEST(test_a_closed_folder_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
