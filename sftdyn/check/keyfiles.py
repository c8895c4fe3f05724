"""What is wrong with a key file that nsupdate does not understand. Pure.

nsupdate takes one key in the form of named.conf (tsig-keygen(8)), or a K*.private file beside its K*.key.
"""

import re

STATEMENT = re.compile(r"^[ \t]*key\s", re.M)
FORMS = (
    (re.compile(r"^\s*(?:hmac-)?\w+:[^\s:]+:\S+\s*$"), "it is written as for nsupdate -y, on the command line"),
    (re.compile(r"^\s*[\w.-]+:[A-Za-z0-9+/]+=*\s*$"), "it is written as for nsupdate -y, on the command line"),
    (re.compile(r"^[ \t]*key:[ \t]*$", re.M), "it is in Knot's form, not BIND's"),
    (re.compile(r"^\s*[A-Za-z0-9+/]{16,}=*\s*$"), "it is the secret alone"),
)
FORM = 'key "NAME" { algorithm hmac-sha256; secret "…"; };'


def what_is_wrong(text: str) -> str:
    """With the file of this text, a sentence without a word of it."""
    if (count := len(STATEMENT.findall(text))) > 1:
        return f"it holds {count} keys: leave the one that the zone's policy names"
    for pattern, said in FORMS:
        if pattern.search(text):
            return f"{said}: write {FORM}"
    return "make a new one (tsig-keygen; the session key: restart BIND)"
