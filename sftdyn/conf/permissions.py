"""Who else on this machine can read or write the conf, by its mode."""

import grp
import os
import pwd
import stat
from pathlib import Path


def others_can_read(path: Path) -> list[str]:
    """A warning if everybody can."""
    if path.stat().st_mode & stat.S_IROTH:
        return [f"everyone on this machine can read {path}; chmod o-r it, and let its group read it"]
    return []


def others_can_write(path: Path) -> list[str]:
    """Warnings if more users than its owner can write it, or put another file in its place."""
    places = (path, path.absolute().parent)
    return [
        f"others can write {place}, and so run programs as sftdyn; chmod go-w it"
        for place in places
        if place.exists() and _is_writable(place.stat())
    ]


def _is_writable(found: os.stat_result) -> bool:
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return False  # as in /tmp, where nobody can replace the file of another
    if found.st_mode & stat.S_IWGRP and not _is_own_group(found):
        return True
    return bool(found.st_mode & stat.S_IWOTH)


def _is_own_group(found: os.stat_result) -> bool:
    """Whether the group has the owner's name, and nobody else in it: many systems make one for each user."""
    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return owner.pw_name == group.gr_name and set(group.gr_mem) <= {owner.pw_name}
