#include "afar/ssh/keywords.h"

#include <strings.h>
#include <string.h>

#define IGNORED(name)                        \
    {                                        \
        (name), SSH_KIND_IGNORED, SSH_VALUES \
    }

static const struct ssh_keyword keywords[] = {
    {"AddressFamily", SSH_KIND_TEXT, SSH_ADDRESS_FAMILY},
    {"BatchMode", SSH_KIND_YES_NO, SSH_BATCH_MODE},
    {"BindAddress", SSH_KIND_TEXT, SSH_BIND_ADDRESS},
    {"ClearAllForwardings", SSH_KIND_YES_NO, SSH_CLEAR_ALL_FORWARDINGS},
    {"ConnectionAttempts", SSH_KIND_NUMBER, SSH_CONNECTION_ATTEMPTS},
    {"ConnectTimeout", SSH_KIND_TIME, SSH_CONNECT_TIMEOUT},
    {"ControlMaster", SSH_KIND_TEXT, SSH_CONTROL_MASTER},
    {"ControlPath", SSH_KIND_TEXT, SSH_CONTROL_PATH},
    {"ControlPersist", SSH_KIND_TEXT, SSH_CONTROL_PERSIST},
    {"DynamicForward", SSH_KIND_LINE, SSH_DYNAMIC_FORWARD},
    {"EscapeChar", SSH_KIND_TEXT, SSH_ESCAPE_CHAR},
    {"ExitOnForwardFailure", SSH_KIND_YES_NO, SSH_EXIT_ON_FORWARD_FAILURE},
    {"ForkAfterAuthentication", SSH_KIND_YES_NO, SSH_FORK_AFTER_AUTHENTICATION},
    {"ForwardX11", SSH_KIND_YES_NO, SSH_FORWARD_X11},
    {"GatewayPorts", SSH_KIND_YES_NO, SSH_GATEWAY_PORTS},
    {"HostName", SSH_KIND_TEXT, SSH_HOST_NAME},
    {"IdentityFile", SSH_KIND_LINE, SSH_IDENTITY_FILE},
    {"LocalForward", SSH_KIND_LINE, SSH_LOCAL_FORWARD},
    {"LogLevel", SSH_KIND_TEXT, SSH_LOG_LEVEL},
    {"Port", SSH_KIND_PORT, SSH_PORT},
    {"ProxyCommand", SSH_KIND_TEXT, SSH_PROXY_COMMAND},
    {"ProxyJump", SSH_KIND_TEXT, SSH_PROXY_JUMP},
    {"RemoteCommand", SSH_KIND_TEXT, SSH_REMOTE_COMMAND},
    {"RemoteForward", SSH_KIND_LINE, SSH_REMOTE_FORWARD},
    {"RequestTTY", SSH_KIND_TEXT, SSH_REQUEST_TTY},
    {"SendEnv", SSH_KIND_WORDS, SSH_SEND_ENV},
    {"ServerAliveCountMax", SSH_KIND_NUMBER, SSH_SERVER_ALIVE_COUNT_MAX},
    {"ServerAliveInterval", SSH_KIND_TIME, SSH_SERVER_ALIVE_INTERVAL},
    {"SessionType", SSH_KIND_TEXT, SSH_SESSION_TYPE},
    {"SetEnv", SSH_KIND_WORDS, SSH_SET_ENV},
    {"StdinNull", SSH_KIND_YES_NO, SSH_STDIN_NULL},
    {"Tunnel", SSH_KIND_TEXT, SSH_TUNNEL},
    {"User", SSH_KIND_TEXT, SSH_USER},
    /* Common in tools' defaults and in recipes. Those about host keys do nothing, because they must
     * not weaken how the server is verified. */
    IGNORED("AddKeysToAgent"),
    IGNORED("CanonicalDomains"),
    IGNORED("CanonicalizeHostname"),
    IGNORED("CASignatureAlgorithms"),
    IGNORED("CertificateFile"),
    IGNORED("ChallengeResponseAuthentication"),
    IGNORED("CheckHostIP"),
    IGNORED("Cipher"),
    IGNORED("Ciphers"),
    IGNORED("Compression"),
    IGNORED("EnableSSHKeysign"),
    IGNORED("FingerprintHash"),
    IGNORED("ForwardAgent"),
    IGNORED("ForwardX11Timeout"),
    IGNORED("ForwardX11Trusted"),
    IGNORED("GlobalKnownHostsFile"),
    IGNORED("GSSAPIAuthentication"),
    IGNORED("GSSAPIDelegateCredentials"),
    IGNORED("GSSAPIKeyExchange"),
    IGNORED("GSSAPITrustDns"),
    IGNORED("HashKnownHosts"),
    IGNORED("HostbasedAcceptedAlgorithms"),
    IGNORED("HostbasedAuthentication"),
    IGNORED("HostKeyAlgorithms"),
    IGNORED("HostKeyAlias"),
    IGNORED("IdentitiesOnly"),
    IGNORED("IdentityAgent"),
    IGNORED("IPQoS"),
    IGNORED("KbdInteractiveAuthentication"),
    IGNORED("KbdInteractiveDevices"),
    IGNORED("KexAlgorithms"),
    IGNORED("KnownHostsCommand"),
    IGNORED("LogVerbose"),
    IGNORED("MACs"),
    IGNORED("NoHostAuthenticationForLocalhost"),
    IGNORED("NumberOfPasswordPrompts"),
    IGNORED("PasswordAuthentication"),
    IGNORED("PermitLocalCommand"),
    IGNORED("PKCS11Provider"),
    IGNORED("PreferredAuthentications"),
    IGNORED("ProxyUseFdpass"),
    IGNORED("Protocol"),
    IGNORED("PubkeyAcceptedAlgorithms"),
    IGNORED("PubkeyAcceptedKeyTypes"),
    IGNORED("PubkeyAuthentication"),
    IGNORED("RekeyLimit"),
    IGNORED("RequiredRSASize"),
    IGNORED("StreamLocalBindMask"),
    IGNORED("StreamLocalBindUnlink"),
    IGNORED("StrictHostKeyChecking"),
    IGNORED("SyslogFacility"),
    IGNORED("Tag"),
    IGNORED("TCPKeepAlive"),
    IGNORED("TunnelDevice"),
    IGNORED("UpdateHostKeys"),
    IGNORED("UserKnownHostsFile"),
    IGNORED("VerifyHostKeyDNS"),
    IGNORED("VisualHostKey"),
    IGNORED("XAuthLocation"),
};

const struct ssh_keyword *ssh_keyword_find(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strlen(keywords[i].name) == length && strncasecmp(keywords[i].name, name, length) == 0)
            return &keywords[i];
    }
    return NULL;
}

const char *ssh_keyword_name(enum ssh_value which)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        bool is_list = keywords[i].kind == SSH_KIND_WORDS || keywords[i].kind == SSH_KIND_LINE;
        if (!is_list && keywords[i].which == which)
            return keywords[i].name;
    }
    return "";
}
