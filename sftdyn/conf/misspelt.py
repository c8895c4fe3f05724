"""What is said of a name that is almost a setting's. Pure."""

from collections.abc import Collection
from difflib import get_close_matches

# How alike, from 0 to 1, a name must be to a setting's to be taken for a typing mistake: among names that the
# conf may define for itself, and among parameters, where every other one is wrong.
ALIKE_NAME = 0.75
ALIKE_PARAMETER = 0.6


def no_such_setting(name: str, settings: Collection[str], alike: float = ALIKE_NAME) -> str | None:
    """The reply to a name that is none of `settings`, but almost one; else None."""
    near = get_close_matches(name.lower(), settings, n=1, cutoff=alike)
    return f"there is no such setting; did you mean {near[0]}?" if near else None


def no_such_parameter(name: str, settings: Collection[str]) -> str:
    """The reply to a parameter that is none of `settings`."""
    reply = no_such_setting(name, settings, ALIKE_PARAMETER)
    return f"{name}: " + (reply or f"there is no such setting, only {', '.join(settings)}")
