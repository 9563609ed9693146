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
    "certificatefile": "any number; KEY-cert.pub beside a key is found without it",
    "connecttimeout": "seconds, for each step: TCP, banner, login",
    "globalknownhostsfile": "one or more",
    "hashknownhosts": "for keys that are added",
    "host": "patterns with *, ? and !",
    "hostkeyalias": "the name in known_hosts and in host certificates",
    "hostname": "%h and %%",
    "identitiesonly": "of an ssh-agent's keys only those of IdentityFile and CertificateFile",
    "identityagent": "a socket's path, none, SSH_AUTH_SOCK or $VARIABLE",
    "identityfile": "any number; private keys, or public ones whose private part an ssh-agent holds",
    "include": "with ~ and patterns; relative to ~/.ssh or /etc/ssh; also inside Host and Match",
    "kbdinteractiveauthentication": "the password answers the one question that is not shown",
    "match": "all, canonical, final, host, originalhost, user, localuser, exec",
    "passwordauthentication": "yes or no",
    "port": "an agent's port= goes before it",
    "proxycommand": "by the user's shell; what it writes to stderr is in the error",
    "proxyjump": "several with commas; none",
    "pubkeyauthentication": "yes or no",
    "revokedhostkeys": "a list of keys; a KRL is refused",
    "stricthostkeychecking": "accept-new; no and off mean the same here: a changed key is refused always",
    "user": "an agent's user= goes before it",
    "userknownhostsfile": "one or more, or none; an agent's known_hosts_file= goes before it",
}
"""Keyword → what of it; all that is not said is as in ssh_config(5)."""

IGNORED: Mapping[str, str] = {
    "a terminal, tunnels and what a session is given are not asked for": (
        "batchmode clearallforwardings dynamicforward enableescapecommandline escapechar exitonforwardfailure"
        " forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports"
        " localcommand localforward permitlocalcommand permitremoteopen remotecommand remoteforward requesttty"
        " sendenv sessiontype setenv stdinnull streamlocalbindmask streamlocalbindunlink tunnel tunneldevice"
        " visualhostkey xauthlocation"
    ),
    "one connection serves a whole rollout": "controlmaster controlpath controlpersist",
    "the rollout watches over its link itself": (
        "channeltimeout compression connectionattempts ipqos rekeylimit serveralivecountmax serveraliveinterval"
        " tcpkeepalive"
    ),
    "paramiko's own lists are used, which have nothing that OpenSSH has dropped": (
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
    "a name that cannot be found is an error anyway": "canonicalizefallbacklocal canonicalizepermittedcnames",
    "the host's own choice of address is used": "bindaddress bindinterface",
    "ssh alone says what it does, or hides it": (
        "ignoreunknown logfacility loglevel logverbose obscurekeystroketiming proxyusefdpass syslogfacility tag"
        " versionaddendum warnweakcrypto"
    ),
}  # fmt: skip
"""Why → keywords that change nothing here."""

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
