"""What is said to nsupdate, and what its answers mean. Pure text in, text out.

Commands and output are those of nsupdate(1) of BIND 9; the semantics of prerequisites are RFC 2136's.
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Any

from ...values.names import ancestors
from ...values.update import Key, Record, Text

# What a record set is believed to be now; None where nothing is known.
Belief = tuple[str, ...] | None
Beliefs = Mapping[Key, Belief]


class Word(Enum):
    """What the primary made of one message."""

    DONE = auto()  # every prerequisite held, and every change is made
    BELIEF_WRONG = auto()  # a record set is not what the message said: nothing is changed
    HIDDEN = auto()  # a CNAME, delegation or DNAME is in the way: nothing is changed
    REFUSED = auto()  # policy, or a frozen zone: nothing is changed
    CLOSED = auto()  # the zone refuses everything, questions too: frozen, or not open to this key
    NOT_ITS_ZONE = auto()  # the primary does not serve this zone: nothing is changed
    BAD_KEY = auto()  # TSIG: the key, its secret or the clock is wrong: nothing is changed
    NOBODY = auto()  # nothing listens there: nothing is changed
    FAILED = auto()  # it could not do it (SERVFAIL): nothing is changed
    AWAY = auto()  # not ready: nothing is changed
    TOO_LARGE = auto()  # over 64 KiB: nothing is sent
    NOT_SENT = auto()  # there is no nsupdate, or it knows no address of the primary
    UNKNOWN = auto()  # no answer: not applied, applied, or applied later


class Unanswered(Exception):
    """The primary answered a question with neither yes nor no: with this verdict, changed, reason."""

    def __init__(self, *said: Any) -> None:
        super().__init__()
        self.said = said


RCODES: dict[str, Word] = {
    "NOERROR": Word.DONE,
    "FORMERR": Word.AWAY,
    "SERVFAIL": Word.FAILED,
    "NXDOMAIN": Word.BELIEF_WRONG,
    "NOTIMP": Word.AWAY,
    "REFUSED": Word.REFUSED,
    "YXDOMAIN": Word.HIDDEN,
    "YXRRSET": Word.HIDDEN,
    "NXRRSET": Word.BELIEF_WRONG,
    "NOTAUTH": Word.NOT_ITS_ZONE,
    "NOTZONE": Word.NOT_ITS_ZONE,
}

# After these, the primary lives and takes the key.
SPOKEN = frozenset(
    {
        *(Word.DONE, Word.BELIEF_WRONG, Word.HIDDEN, Word.REFUSED),
        *(Word.NOT_ITS_ZONE, Word.FAILED, Word.AWAY),
    }
)
FAILED_FOR_GOOD = {Word.BELIEF_WRONG, Word.HIDDEN, Word.REFUSED, Word.NOT_ITS_ZONE}

# In the transcript of one message, the first of these that is found decides. RFC 2136 has a zone looked up (3.1)
# before a permission (3.3): of a zone that it does not serve, Knot says so without looking at the key, and unsigned.
UNSIGNED = re.compile(r"^; TSIG error .*: expected a TSIG.*\nupdate failed: NOTAUTH$", re.M)
DIAGNOSTICS: tuple[tuple[re.Pattern[str], Word], ...] = (
    (UNSIGNED, Word.NOT_ITS_ZONE),
    (re.compile(r"^; TSIG error|NOTAUTH\(BAD", re.M), Word.BAD_KEY),
    (re.compile(r"^((could not|can't) (read|create) key |unknown key type|key must have )", re.M), Word.BAD_KEY),
    # No connection: nothing was sent. Where there is no route, that is how nsupdate says so.
    (re.compile(r"^; Communication .*: (connection refused|\w+ unreachable|operation canceled)", re.M), Word.NOBODY),
    (re.compile(r"^; Communication ", re.M), Word.UNKNOWN),
    (re.compile(r"could(n't| not) get address|could not start nsupdate"), Word.NOT_SENT),
    (re.compile(r"ran out of space"), Word.TOO_LARGE),
)
# What one of them needs: most transcripts hold none of it.
TROUBLE = re.compile(r"^; |NOTAUTH\(BAD|could|can't|ran out|^unknown key|^key must", re.M)
FAILED = re.compile(r"^update failed: (\w+)", re.M)
ANSWERED = re.compile(r"^Answer:\n;; ->>HEADER<<- opcode: UPDATE, status: (\w+)", re.M)


def verdict(transcript: str) -> Word:
    """What the transcript of one message (`send`, `answer`) says; UNKNOWN where it says nothing.

    A diagnostic beats the status behind `Answer:`, which is NOERROR for a reply with a broken TSIG too.
    """
    if TROUBLE.search(transcript):
        for pattern, meaning in DIAGNOSTICS:
            if pattern.search(transcript):
                return meaning
    status = FAILED.search(transcript) or ANSWERED.search(transcript)
    return RCODES.get(status[1], Word.AWAY) if status else Word.UNKNOWN


def is_key_unknown(transcript: str) -> bool:
    """Whether the primary says BADKEY; Knot 3.2 also does so of a key that it knows, and does not allow this."""
    return "NOTAUTH(BADKEY)" in transcript


def is_unsigned(transcript: str) -> bool:
    """Whether it denies without its signature: Knot 3.4, of each key, zone and change that it does not take."""
    return UNSIGNED.search(transcript) is not None


NO_SPACE = "ran out of space\n"  # what nsupdate says of a message that is too long
TIMED_OUT = "failed: timed out"


def is_answered(transcript: str) -> bool:
    """Whether the primary spoke, and took the key."""
    return verdict(transcript) in SPOKEN


def is_no_command(output: str) -> bool:
    """Whether nsupdate did not understand a line."""
    return "syntax error" in output


def not_started(error: Exception) -> str:
    """A transcript that says why there is no nsupdate to talk to."""
    return f"could not start nsupdate: {error}\n"


# nsupdate says nothing after a success, so each message ends with a `show` that names a zone of its own.


def mark(number: int) -> str:
    """The zone that ends the reply to a message; nobody has it."""
    return f"sync-{number}.invalid."


FIXED = 12 + 2 + 4 + 10  # octets: header, end, type and class of the zone, and type to length of the signature
SIGNATURE = 140  # octets, if the key's name has up to 40: names of key and algorithm, 64 octets of MAC (RFC 8945, 4.2)
RECORD = 2 + 10  # octets: what stands for the name, type to length (RFC 1035, 4.1)


def octets(zone: str, lines: str) -> int:
    """The most that a message with these lines has. Of a name, the zone's part is not said again, nor any twice."""
    names: set[str] = set()
    size = FIXED + SIGNATURE + len(zone)
    for line in lines.splitlines():
        _, _, name, rest = line.split(" ", 3)
        names.add(name)
        data = rest.rpartition(" ")[2] if " " in rest else ""
        size += RECORD + (max(len(data), 16) if data else 0)
    return size + sum(max(len(name) - len(zone), 0) for name in names)


def framed(zone: str, lines: str, mark: str) -> str:
    """The commands that send one message, and let its reply be told from the next."""
    return f"zone {zone}\n{lines}send\nanswer\nzone {mark}\nshow\n"


def end(mark: str) -> str:
    """Behind this and the next empty line, the reply to a message is complete."""
    return f";{mark}"


def unframed(transcript: str) -> str:
    """What nsupdate said of the message itself."""
    return transcript.partition("Outgoing update query:")[0]


def harmless(zone: str) -> str:
    """A message that changes nothing, and of which every answer says that the primary works on the zone."""
    return f"prereq nxrrset {zone} DNAME\n"


NOBODYS = "nobodys-zone.invalid."  # for questions to which the primary itself is the answer, and no zone


def ask(rrset: Record, belief: tuple[str, ...]) -> list[str]:
    """Prerequisites that hold if `rrset` is exactly `belief` (RFC 2136, 2.4.2 and 2.4.3)."""
    if not belief:
        return [f"prereq nxrrset {rrset.name} {rrset.type}"]
    return [f"prereq yxrrset {rrset.name} {rrset.type} {address}" for address in belief]


def guards(rrset: Record, zone: str) -> list[str]:
    """Prerequisites that hold if everybody can see records at this name.

    A primary takes records below a delegation or a DNAME, and nobody ever sees them.
    """
    above = ancestors(rrset.name, zone)
    delegations = [rrset.name, *above[:-1]] if above else []
    return [f"prereq nxrrset {name} NS" for name in delegations] + [f"prereq nxrrset {name} DNAME" for name in above]


def replacement(record: Record) -> list[str]:
    """Updates after which the record set is exactly this, or has the one value, or has it no more."""
    if isinstance(record, Text):
        added = f"add {record.name} {record.ttl}" if record.is_there else f"delete {record.name}"
        return [f'update {added} TXT "{record.value}"']
    rrset = record
    return [f"update delete {rrset.name} {rrset.type}"] + [
        f"update add {rrset.name} {rrset.ttl} {rrset.type} {address}" for address in rrset.addresses
    ]


def question(rrsets: Iterable[Record], beliefs: Beliefs) -> str:
    """A message that changes nothing and is answered DONE if every belief is right."""
    pairs = [(rrset, beliefs[rrset.key]) for rrset in rrsets]
    return _lines(line for rrset, belief in pairs if belief is not None for line in ask(rrset, belief))


def is_change(lines: str) -> bool:
    """Whether a message would change something."""
    return "\nupdate " in lines or lines.startswith("update ")


def change(rrsets: Iterable[Record], beliefs: Beliefs, zone: str, ask_only: bool = False) -> str:
    """A message that makes every record set what it shall be, if every belief is right and every name visible.

    A record set that is believed to be right already is only asked about. One of which nothing is
    known is replaced whatever it is. Beside a CNAME, BIND would silently ignore an address.
    With `ask_only` it is the same without the changes. Of a TXT value nothing is ever known (RFC 2136 asks for whole
    record sets), so it is added or removed: to do that twice changes nothing.
    """
    prerequisites: dict[str, None] = {}  # each line once, in order: guards first, so that they are named first
    questions: list[str] = []
    updates: list[str] = []
    for rrset in rrsets:
        belief = beliefs[rrset.key]
        prerequisites.update(dict.fromkeys(guards(rrset, zone)))
        if belief is not None:
            questions += ask(rrset, belief)
        if not belief and rrset.addresses:
            prerequisites[f"prereq nxrrset {rrset.name} CNAME"] = None
        if belief != rrset.addresses and not ask_only:
            updates += replacement(rrset)
    return _lines([*prerequisites, *questions, *updates])


def _lines(lines: Iterable[str]) -> str:
    return "".join([line + "\n" for line in lines])
