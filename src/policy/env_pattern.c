#include "policy/env_pattern.h"

#include <stddef.h>
#include <string.h>

enum { SHOWN_BYTES = 60, PREFIX_MIN_BYTES = 3 /* "LC_*" */ };

static const char reserved[] = "AFAR";

/* Variables by which the dynamic linker (ld.so(8)), shells, interpreters and common tools can be
 * told where to find code or which program to start. A "*" at the end matches any rest. The
 * defaults of sudo and OpenSSH reject similar ones. */
static const char *const dangerous[] = {
    "LD_*",         "PATH",         "IFS",
    "ENV",          "BASH_*",       "BASHOPTS",
    "SHELLOPTS",    "SHELL",        "CDPATH",
    "GLOBIGNORE",   "PS4",          "PROMPT_COMMAND",
    "ZDOTDIR",      "FPATH",        "HOME",
    "USER",         "LOGNAME",      "PWD",
    "OLDPWD",       "TMPDIR",       "TMP",
    "TEMP",         "GCONV_PATH",   "GETCONF_DIR",
    "GLIBC_*",      "MALLOC_*",     "HOSTALIASES",
    "LOCALDOMAIN",  "LOCPATH",      "NIS_PATH",
    "NLSPATH",      "RES_*",        "RESOLV_*",
    "TZDIR",        "TERMINFO*",    "TERMCAP",
    "TERMPATH",     "PYTHON*",      "PERL*",
    "RUBY*",        "NODE_*",       "NPM_*",
    "npm_*",        "JAVA_*",       "_JAVA_*",
    "JDK_*",        "CLASSPATH",    "LUA_*",
    "PHP*",         "TCL*",         "GO*",
    "CARGO*",       "RUST*",        "GIT_*",
    "SSH_*",        "SVN_*",        "HG*",
    "EDITOR",       "VISUAL",       "PAGER",
    "MANPAGER",     "BROWSER",      "LESS*",
    "MORE",         "MAKE*",        "MFLAGS",
    "CC",           "CXX",          "COMPILER_PATH",
    "GCC_*",        "LIBRARY_PATH", "CPATH",
    "PKG_*",        "OPENSSL_*",    "SSL_*",
    "CURL_*",       "XDG_*",        "DBUS_*",
    "SYSTEMD_*",    "LISTEN_*",     "NOTIFY_SOCKET",
    "WATCHDOG_*",   "KRB5*",        "SASL_*",
    "LDAP*",        "PG*",          "MYSQL_*",
    "DOCKER_*",     "KUBECONFIG",   "http_proxy",
    "https_proxy",  "all_proxy",    "HTTP_PROXY",
    "HTTPS_PROXY",  "ALL_PROXY",    "TAR_OPTIONS",
    "GREP_OPTIONS", "RSYNC_*",      "POSIXLY_CORRECT",
    "QT_*",         "GTK_*",        "GIO_*",
    "CFLAGS",       "CXXFLAGS",     "CPPFLAGS",
    "LDFLAGS",      "APT_*",        "DPKG_*",
    "PIP_*",        "UV_*",         "GEM_*",
    "BUNDLE_*",     "WGETRC",       "DOTNET_*",
    "CORECLR_*",    "COMPlus_*",    "MAVEN_*",
    "GRADLE_*",     "ANSIBLE_*",    "LUAROCKS_*",
    "RPM_*",        "CMAKE_*",      "NINJA*",
    "CCACHE_*",     "GNUPGHOME",    "INPUTRC",
};

/* Whether the pattern matches the name in "NAME=value" or "NAME". */
static bool match(const char *pattern, const char *entry)
{
    size_t size = strlen(pattern);
    size_t name = strcspn(entry, "=");
    if (size > 0 && pattern[size - 1] == '*')
        return name >= size - 1 && memcmp(pattern, entry, size - 1) == 0;
    return name == size && memcmp(pattern, entry, size) == 0;
}

bool env_is_dangerous(const char *entry)
{
    for (size_t i = 0; i < sizeof dangerous / sizeof dangerous[0]; i++) {
        if (match(dangerous[i], entry))
            return true;
    }
    /* bash imports functions from such names: "BASH_FUNC_ls%%". */
    return entry[strcspn(entry, "=%()")] != '=' && entry[strcspn(entry, "=%()")] != '\0';
}

static bool is_reserved(const char *name)
{
    return strncmp(name, reserved, sizeof reserved - 1) == 0;
}

enum afar_status env_pattern_check(const char *pattern, struct afar_error *err)
{
    size_t size = strcspn(pattern, "*");
    bool good = pattern[0] != '\0' && strpbrk(pattern, "= \t") == NULL &&
                (pattern[size] == '\0' || pattern[size + 1] == '\0');
    if (!good)
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s' is not a variable's name, nor the beginning of one and '*'",
                         SHOWN_BYTES, pattern);
    if (is_reserved(pattern))
        return afar_fail(err, AFAR_EINVAL, "'%.*s': names that begin with AFAR are the server's",
                         SHOWN_BYTES, pattern);
    return AFAR_OK;
}

bool env_pattern_is_wide(const char *pattern)
{
    size_t size = strcspn(pattern, "*");
    return size < PREFIX_MIN_BYTES && pattern[size] == '*';
}

bool env_pattern_match(const char *pattern, const char *entry)
{
    if (is_reserved(entry) || !match(pattern, entry))
        return false;
    return pattern[strlen(pattern) - 1] != '*' || !env_is_dangerous(entry);
}
