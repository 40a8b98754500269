#include "support/test_certs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static const char local_names[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
static const char *const self = "itself";

struct recipe {
    const char *file; /* FILE.pem and FILE-key.pem */
    const char *common_name;
    const char *names;  /* subjectAltName as in openssl.cnf; NULL: none */
    const char *use;    /* extendedKeyUsage; NULL: a CA */
    const char *issuer; /* a recipe's file; NULL: ca; or `self` */
    long starts_s;      /* from now */
    long ends_s;        /* from now; 0: ten years */
};

static const struct recipe recipes[TEST_CERTS] = {
    [TEST_CA] = {.file = "ca", .common_name = "Afar test CA", .issuer = "itself"},
    [TEST_OTHER_CA] = {.file = "other-ca", .common_name = "Other test CA", .issuer = "itself"},
    [TEST_INTERMEDIATE] = {.file = "intermediate", .common_name = "Afar intermediate CA"},
    [TEST_SERVER] = {"server", "afard", local_names, "serverAuth", NULL, 0, 0},
    [TEST_SERVER_CHAIN] = {"server-chain", "afard", local_names, "serverAuth", "intermediate", 0,
                           0},
    [TEST_SERVER_OTHER_CA] = {"server-other-ca", "afard", local_names, "serverAuth", "other-ca", 0,
                              0},
    [TEST_SERVER_SELF_SIGNED] = {"server-self-signed", "afard", local_names, "serverAuth", "itself",
                                 0, 0},
    [TEST_SERVER_EXPIRED] = {"server-expired", "afard", local_names, "serverAuth", NULL, -DAY_S,
                             -HOUR_S},
    [TEST_SERVER_FUTURE] = {"server-future", "afard", local_names, "serverAuth", NULL, DAY_S,
                            2 * DAY_S},
    [TEST_SERVER_WRONG_NAME] = {"server-wrong-name", "afard", "DNS:other.example,IP:192.0.2.1",
                                "serverAuth", NULL, 0, 0},
    [TEST_SERVER_NO_NAME] = {"server-no-name", "localhost", NULL, "serverAuth", NULL, 0, 0},
    [TEST_SERVER_AS_CLIENT] = {"server-as-client", "afard", local_names, "clientAuth", NULL, 0, 0},
    [TEST_CLIENT] = {"client", "tester", NULL, "clientAuth", NULL, 0, 2 * DAY_S},
    [TEST_CLIENT_OTHER_CA] = {"client-other-ca", "tester", NULL, "clientAuth", "other-ca", 0, 0},
    [TEST_CLIENT_SELF_SIGNED] = {"client-self-signed", "tester", NULL, "clientAuth", "itself", 0,
                                 0},
    [TEST_CLIENT_EXPIRED] = {"client-expired", "tester", NULL, "clientAuth", NULL, -DAY_S, -HOUR_S},
    [TEST_CLIENT_FUTURE] = {"client-future", "tester", NULL, "clientAuth", NULL, DAY_S, 2 * DAY_S},
    [TEST_CLIENT_AS_SERVER] = {"client-as-server", "tester", NULL, "serverAuth", NULL, 0, 0},
    [TEST_CLIENT_URI] = {"client-uri", "tester",
                         "email:tester@example.org,DNS:build.example,URI:spiffe://afar/build",
                         "clientAuth", NULL, 0, 0},
    [TEST_CLIENT_DNS] = {"client-dns", "tester", "email:tester@example.org,DNS:build.example",
                         "clientAuth", NULL, 0, 0},
    [TEST_CLIENT_EMAIL] = {"client-email", "tester", "email:tester@example.org", "clientAuth", NULL,
                           0, 0},
    [TEST_CLIENT_NASTY] = {"client-nasty", "tester\nroot", NULL, "clientAuth", NULL, 0, 0},
    [TEST_CLIENT_RENEWED] = {"client-renewed", "tester",
                             "URI:spiffe://afar/build,email:tester@example.org,DNS:build.example",
                             "clientAuth", NULL, 0, 0},
    [TEST_CLIENT_TWIN] = {"client-twin", "twin", "URI:spiffe://afar/build", "clientAuth", NULL, 0,
                          0},
    [TEST_CLIENT_NAMELESS] = {"client-nameless", NULL, NULL, "clientAuth", NULL, 0, 0},
};

/* What has been made so far; the CAs' keys are needed for the rest. */
struct workshop {
    X509 *cert[TEST_CERTS];
    EVP_PKEY *key[TEST_CERTS];
};

static int find(const char *file)
{
    for (int i = 0; i < TEST_CERTS; i++) {
        if (strcmp(recipes[i].file, file) == 0)
            return i;
    }
    return -1;
}

static int issuer_of(int which)
{
    const struct recipe *recipe = &recipes[which];
    if (recipe->issuer == NULL)
        return TEST_CA;
    return strcmp(recipe->issuer, self) == 0 ? which : find(recipe->issuer);
}

static bool add_extension(X509 *cert, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    bool added = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct recipe *recipe)
{
    bool is_ca = recipe->use == NULL;
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    return add_extension(cert, &context, NID_basic_constraints,
                         is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
           add_extension(cert, &context, NID_key_usage,
                         is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
           add_extension(cert, &context, NID_subject_key_identifier, "hash") &&
           add_extension(cert, &context, NID_authority_key_identifier, "keyid") &&
           (is_ca || add_extension(cert, &context, NID_ext_key_usage, recipe->use)) &&
           (recipe->names == NULL ||
            add_extension(cert, &context, NID_subject_alt_name, recipe->names));
}

static bool make(struct workshop *workshop, int which)
{
    const struct recipe *recipe = &recipes[which];
    int by = issuer_of(which);
    long ends_s = recipe->ends_s != 0 ? recipe->ends_s : 3650L * DAY_S;
    uint64_t serial = 0;

    EVP_PKEY *key = workshop->key[which] = EVP_EC_gen("P-256");
    X509 *cert = workshop->cert[which] = X509_new();
    if (key == NULL || cert == NULL || RAND_bytes((unsigned char *)&serial, sizeof serial) != 1)
        return false;
    X509 *issuer = workshop->cert[by];
    X509_NAME *name = X509_get_subject_name(cert);
    const char *word = recipe->common_name != NULL ? recipe->common_name : "Afar";

    /* Valid since a minute ago, because clocks of containers and test machines differ a little. */
    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), recipe->starts_s - 60) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), ends_s) != NULL &&
           X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, recipe->common_name != NULL ? "CN" : "O", MBSTRING_UTF8,
                                      (const unsigned char *)word, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
           add_extensions(cert, issuer, recipe) &&
           X509_sign(cert, workshop->key[by], EVP_sha256()) > 0;
}

static FILE *create(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return NULL;
    FILE *file = fdopen(fd, "w");
    if (file == NULL)
        (void)close(fd);
    return file;
}

static bool save(const struct test_certs *certs, const struct workshop *workshop, int which)
{
    FILE *file = create(certs->key[which], 0600);
    if (file == NULL)
        return false;
    int saved = PEM_write_PrivateKey(file, workshop->key[which], NULL, NULL, 0, NULL, NULL);
    if (fclose(file) != 0 || saved != 1)
        return false;

    file = create(certs->cert[which], 0644);
    if (file == NULL)
        return false;
    saved = PEM_write_X509(file, workshop->cert[which]);
    if (saved == 1 && issuer_of(which) == TEST_INTERMEDIATE)
        saved = PEM_write_X509(file, workshop->cert[TEST_INTERMEDIATE]);
    return fclose(file) == 0 && saved == 1;
}

bool test_certs_make(struct test_certs *certs)
{
    struct workshop workshop = {0};
    bool made = false;

    memset(certs, 0, sizeof *certs);
    (void)snprintf(certs->folder, sizeof certs->folder, "/tmp/afar-test-certs-XXXXXX");
    if (mkdtemp(certs->folder) == NULL) {
        perror("mkdtemp");
        certs->folder[0] = '\0';
        return false;
    }
    for (int i = 0; i < TEST_CERTS; i++) {
        (void)snprintf(certs->cert[i], sizeof certs->cert[i], "%s/%s.pem", certs->folder,
                       recipes[i].file);
        (void)snprintf(certs->key[i], sizeof certs->key[i], "%s/%s-key.pem", certs->folder,
                       recipes[i].file);
        made = make(&workshop, i) && save(certs, &workshop, i);
        if (!made) {
            (void)fprintf(stderr, "cannot make the test certificate '%s'\n", recipes[i].file);
            ERR_print_errors_fp(stderr);
            break;
        }
    }
    for (int i = 0; i < TEST_CERTS; i++) {
        X509_free(workshop.cert[i]);
        EVP_PKEY_free(workshop.key[i]);
    }
    if (!made)
        test_certs_remove(certs);
    return made;
}

void test_certs_remove(struct test_certs *certs)
{
    if (certs->folder[0] == '\0')
        return;
    for (int i = 0; i < TEST_CERTS; i++) {
        (void)unlink(certs->cert[i]);
        (void)unlink(certs->key[i]);
    }
    (void)rmdir(certs->folder);
    certs->folder[0] = '\0';
}
