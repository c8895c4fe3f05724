"""What nsupdate says, in words of ours for the log. Pure.

Of a key file that it does not understand nsupdate quotes what it likes, and the secret may be among it. So nothing that
it says gets any further: what is known has a sentence here, and of all else the log says only that there was something.
"""

import re

# The first that is found counts. {0} is an address, or a word of DNS.
PEER = r"^; Communication with ([0-9a-fA-F:.]+(?:%[\w.@-]+)?#\d+) failed: "
SAYINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.M), sentence)
    for pattern, sentence in (
        (
            r"NOTAUTH\((BADKEY)\)",
            "the name server does not know the key, or has another algorithm for it ({0}): compare nskeyfile with"
            " its configuration",
        ),
        (r"NOTAUTH\((BADSIG)\)", "the name server has another secret for the key ({0}): copy its key file again"),
        (r"NOTAUTH\((BADTIME)\)", "the clocks of the name server and of this machine differ ({0}): set them"),
        (
            r"^; TSIG error .*: expected a TSIG",
            "the name server's answer is not signed (TSIG error): it does not take the key for this",
        ),
        (r"^; TSIG error", "the name server's answer is not signed with this key (TSIG error): compare the keys"),
        (
            r"^(?:can't|could not) read key .*: permission denied",
            "this user may not read the key (permission denied): be bind, or use nskeyfile",
        ),
        (
            r"^(?:can't|could not) read key .*: file not found",
            "there is no key file (file not found): without nskeyfile it is the session key, which BIND makes",
        ),
        (
            r"^(?:(?:can't|could not) (?:read|create) key|unknown key type|key must have )",
            "the key file is broken: make a new one (tsig-keygen)",
        ),
        (PEER + "connection refused", "nobody listens at {0} (connection refused): start the name server"),
        (PEER + "timed out", "no answer from {0} (timed out): the name server hangs, or a firewall is between"),
        (PEER + r"(?:\w+ unreachable|operation canceled)", "no way to {0}: no route, or it takes no connections"),
        (PEER, "the exchange with {0} broke"),
        ("ran out of space", "the message is too long"),
        ("syntax error", "nsupdate does not understand a line (syntax error)"),
        (
            "could not reach any name server|could(?:n't| not) get address",
            "nsupdate reaches no name server, or finds no address for one",
        ),
        (
            "could not find enclosing zone|specified zone .* does not exist|response to SOA query was unsuccessful",
            "nsupdate finds no zone for the name",
        ),
        (
            "^update failed: (SERVFAIL)",
            "the name server fails ({0}): it has not loaded the zone, or cannot write its journal; its log says which",
        ),
        (
            "^update failed: (REFUSED)",
            "the name server refuses every change ({0}): it is frozen, or not open to this key; its log says which",
        ),
        ("^update failed: (NOTAUTH|NOTZONE)", "the name server does not serve the zone ({0})"),
        ("^update failed: (NOTIMP|FORMERR)", "the name server takes no updates there ({0})"),
        ("^update failed: ([NY]X[A-Z]+)", "something else writes to the name, too, or hides it ({0})"),
    )
)
STARTING = re.compile(r"could not start nsupdate: .*")
UNKNOWN = (
    "nsupdate says something that is not shown, as it may hold a secret;"
    " run it by hand: nsupdate -d, with -k and the key file or -l"
)


def diagnosis(transcript: str) -> str:
    """What was wrong with one message, a sentence; "" if nothing was."""
    if starting := STARTING.match(transcript):  # which is not from nsupdate
        return starting[0]
    complaints = transcript.partition("Answer:")[0]
    for pattern, sentence in SAYINGS:
        if found := pattern.search(complaints):
            return sentence.format(*found.groups())
    return UNKNOWN if complaints.strip() else ""
