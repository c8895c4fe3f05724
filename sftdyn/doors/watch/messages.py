"""Events in words. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import gmtime, strftime
from typing import Any
from urllib.parse import quote

from .events import Event, Kind

LISTED = 20  # names of one kind that are written out
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]+")
FIELD = re.compile(r"\{(subject|text|event|names|priority)\}")
VERBS = {
    Kind.AWAY: "away",
    Kind.FAILING: "failing",
    Kind.SILENT: "silent",
    Kind.CERTIFICATE: "the certificate of https",
    Kind.BADKEY: "asked for with a wrong key",
    Kind.BACK: "back",
    Kind.RECOVERED: "recovered",
    Kind.HEARD: "heard again",
    Kind.CHANGED: "changed",
    Kind.TEST: "a test",
}
HIGH, NORMAL = 4, 3  # as ntfy counts, from 1 to 5
URGENT = frozenset({Kind.AWAY, Kind.FAILING, Kind.SILENT, Kind.CERTIFICATE})


@dataclass(frozen=True, slots=True)
class Message:
    """One message about all of some events."""

    subject: str
    text: str
    event: str  # the first kind
    names: tuple[str, ...]
    priority: int

    def fields(self) -> Mapping[str, str]:
        """What may stand in braces."""
        return {
            "subject": self.subject,
            "text": self.text,
            "event": self.event,
            "names": ", ".join(self.names),
            "priority": str(self.priority),
        }


def compose(events: Sequence[Event], lost: int = 0) -> Message:
    """One message for these, of which there is one at least; so many more were lost."""
    by_kind = {kind: found for kind in Kind if (found := [event for event in events if event.kind is kind])}
    paragraphs = ["\n".join(_lines(kind, found)) for kind, found in by_kind.items()]
    if lost:
        paragraphs.append(f"{lost:,} more events were lost, as they could not be told in time.")
    first = next(iter(by_kind))
    names = tuple(dict.fromkeys(_clean(name) for event in events for name in event.names))
    subject = "; ".join(_heading(kind, found) for kind, found in by_kind.items())
    priority = HIGH if first in URGENT else NORMAL
    return Message(f"sftdyn: {subject}", "\n\n".join(paragraphs), first.value, names, priority)


def filled(template: str, fields: Mapping[str, str]) -> str:
    """The template with what stands in braces, replaced literally and once."""
    return FIELD.sub(lambda found: fields[found[1]], template)


def for_url(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields as a URL can hold them."""
    return {name: quote(text, safe="") for name, text in fields.items()}


def for_header(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields in one line of ASCII."""
    return {name: _clean(text).encode("ascii", "replace").decode() for name, text in fields.items()}


def filled_json(value: Any, fields: Mapping[str, str]) -> Any:
    """A JSON value with its texts filled in; one that is `{priority}` alone becomes a number."""
    if isinstance(value, str):
        return int(fields["priority"]) if value == "{priority}" else filled(value, fields)
    if isinstance(value, dict):
        return {key: filled_json(item, fields) for key, item in value.items()}
    return [filled_json(item, fields) for item in value] if isinstance(value, list | tuple) else value


def as_json(value: Any, fields: Mapping[str, str]) -> str:
    """The body of a request whose JSON has these fields."""
    return json.dumps(filled_json(value, fields))


def _heading(kind: Kind, events: Sequence[Event]) -> str:
    if kind in (Kind.AWAY, Kind.BACK):
        return f"{', '.join(dict.fromkeys(_clean(event.reason) for event in events))} {VERBS[kind]}"
    if kind in (Kind.TEST, Kind.CERTIFICATE):
        return VERBS[kind]
    names = list(dict.fromkeys(_clean(name) for event in events for name in event.names))
    return f"{names[0] if len(names) == 1 else f'{len(names):,} host names'} {VERBS[kind]}"


def _lines(kind: Kind, events: Sequence[Event]) -> list[str]:
    lines = [_line(event) for event in events[:LISTED]]
    return lines + ([f"and {len(events) - LISTED:,} more {VERBS[kind]}"] if len(events) > LISTED else [])


def _line(event: Event) -> str:
    since = f" since {strftime('%Y-%m-%d %H:%M UTC', gmtime(event.since))}" if event.since else ""
    if event.kind is Kind.AWAY:
        return f"{_clean(event.reason)} gives no answer{since}; {len(event.names):,} host names wait for it"
    if event.kind is Kind.BACK:
        return f"{_clean(event.reason)} answers again"
    if event.kind is Kind.TEST:
        return "This is a test of sftdyn: messages arrive."
    if event.kind is Kind.CERTIFICATE:
        return _clean(event.reason)
    name = _clean(", ".join(event.names))
    if event.kind is Kind.BADKEY:
        return f"{name}: wrong keys{since}, {_clean(event.reason)}; its router may have an old one"
    if event.kind is Kind.CHANGED:
        return f"{name}: {' '.join(event.old) or 'unknown'} → {' '.join(event.new) or 'removed'}"
    if event.kind is Kind.SILENT:
        return f"{name}: not heard from{since}" if since else f"{name}: never heard from"
    if event.kind is Kind.FAILING:
        return f"{name}: failing{since}: {_clean(event.reason)}"
    return f"{name}: {VERBS[event.kind]}"


def _clean(text: str) -> str:
    """Without control characters: some of it may be a stranger's."""
    return CONTROL.sub(" ", text).strip()
