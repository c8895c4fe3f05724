"""What is said of a name that is almost a setting's. Pure."""

from collections.abc import Collection
from difflib import get_close_matches

# How alike, from 0 to 1, a name must be to a setting's to be taken for a typing mistake: among names that the
# conf may define for itself, and among parameters, where every other one is wrong.
ALIKE_NAME = 0.75
ALIKE_PARAMETER = 0.6


def nearest(name: str, settings: Collection[str], alike: float = ALIKE_NAME) -> str | None:
    """Which of `settings` a name that is none of them almost is."""
    return next(iter(get_close_matches(name.lower(), settings, n=1, cutoff=alike)), None)


def did_you_mean(setting: str) -> str:
    """The reply to a name that is almost `setting`."""
    return f"there is no such setting; did you mean {setting}?"


def no_such_parameter(name: str, settings: Collection[str]) -> str:
    """The reply to a parameter that is none of `settings`."""
    near = nearest(name, settings, ALIKE_PARAMETER)
    return f"{name}: " + (did_you_mean(near) if near else f"there is no such setting, only {', '.join(settings)}")
