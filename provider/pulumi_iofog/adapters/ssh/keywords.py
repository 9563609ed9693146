"""Which keywords of ssh_config(5) are honoured, which are not, and why.

A test holds the tables against the code, and against the keywords that the installed ``ssh`` knows.
"""

from __future__ import annotations

from collections.abc import Mapping

HONOURED: Mapping[str, str] = {
    "addressfamily": "inet, inet6 or any",
    "canonicaldomains": "with CanonicalizeHostname",
    "canonicalizehostname": "yes, where no proxy is used, and always; PermittedCNAMEs are not followed",
    "canonicalizemaxdots": "with CanonicalizeHostname",
    "certificatefile": "any number; KEY-cert.pub next to a key is found without it",
    "connecttimeout": "seconds, for each step: TCP, banner, login",
    "globalknownhostsfile": "one or more",
    "hashknownhosts": "for keys that are added",
    "host": "patterns with *, ? and !",
    "hostkeyalias": "the name in known_hosts and in host certificates",
    "hostname": "%h and %%",
    "identitiesonly": "of an ssh-agent's keys only those of IdentityFile and CertificateFile",
    "identityagent": "a socket's path, none, SSH_AUTH_SOCK or $VARIABLE",
    "identityfile": "any number; private keys, or public ones whose private key an ssh-agent holds",
    "include": "with ~ and patterns; relative to ~/.ssh or /etc/ssh; also inside Host and Match",
    "kbdinteractiveauthentication": "the password answers the first prompt that hides its input",
    "match": "all, canonical, final, host, originalhost, user, localuser, exec",
    "passwordauthentication": "yes or no",
    "port": "an agent's port= takes precedence",
    "proxycommand": "run by the user's shell; what it writes to stderr is in the error",
    "proxyjump": "several, comma-separated; none",
    "pubkeyauthentication": "yes or no",
    "revokedhostkeys": "a list of keys; a KRL is refused",
    "stricthostkeychecking": "accept-new; no and off mean the same here: a changed key is always refused",
    "user": "an agent's user= takes precedence",
    "userknownhostsfile": "one or more, or none; an agent's known_hosts_file= takes precedence",
}
"""Keyword → what of it is honoured; where nothing is said, all of ssh_config(5)."""

IGNORED: Mapping[str, str] = {
    "no terminal, tunnels or session settings are needed": (
        "batchmode clearallforwardings dynamicforward enableescapecommandline escapechar exitonforwardfailure"
        " forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports"
        " localcommand localforward permitlocalcommand permitremoteopen remotecommand remoteforward requesttty"
        " sendenv sessiontype setenv stdinnull streamlocalbindmask streamlocalbindunlink tunnel tunneldevice"
        " visualhostkey xauthlocation"
    ),
    "one connection serves a whole rollout": "controlmaster controlpath controlpersist",
    "the rollout watches the link itself": (
        "channeltimeout compression connectionattempts ipqos rekeylimit serveralivecountmax serveraliveinterval"
        " tcpkeepalive"
    ),
    "paramiko's own lists are used, which contain nothing that OpenSSH has dropped": (
        "casignaturealgorithms ciphers fingerprinthash hostbasedacceptedalgorithms hostkeyalgorithms kexalgorithms"
        " macs pubkeyacceptedalgorithms requiredrsasize"
    ),
    "keys, certificates and passwords are the only ways to log in": (
        "gssapiauthentication gssapidelegatecredentials gssapikeyexchange gssapikexalgorithms"
        " gssapirenewalforcesrekey gssapitrustdns hostbasedauthentication kbdinteractivedevices"
        " nohostauthenticationforlocalhost numberofpasswordprompts pkcs11provider preferredauthentications"
        " securitykeyprovider enablesshkeysign addkeystoagent"
    ),
    "host keys come from known_hosts files alone": (
        "checkhostip knownhostscommand updatehostkeys verifyhostkeydns"
    ),
    "a name that cannot be resolved is an error anyway": "canonicalizefallbacklocal canonicalizepermittedcnames",
    "the operating system chooses the local address": "bindaddress bindinterface",
    "they concern only the ssh program's own output or internals": (
        "ignoreunknown logfacility loglevel logverbose obscurekeystroketiming proxyusefdpass syslogfacility tag"
        " versionaddendum warnweakcrypto"
    ),
}  # fmt: skip
"""Why → keywords that have no effect here."""

_FILE_TOKENS = "dhikLlnpru"
TOKENS: Mapping[str, str] = {
    "certificatefile": _FILE_TOKENS,
    "exec": _FILE_TOKENS,
    "hostname": "h",
    "identityagent": _FILE_TOKENS,
    "identityfile": _FILE_TOKENS,
    "proxycommand": "hnpr",
    "proxyjump": "hnpr",
    "userknownhostsfile": _FILE_TOKENS,
}
"""Keyword → the tokens that it may hold, besides %% (ssh_config(5), TOKENS)."""
PATHS = {"certificatefile", "globalknownhostsfile", "identityagent", "identityfile", "userknownhostsfile"}
"""Keywords whose values may hold ``~`` and ``${VARIABLE}``."""
