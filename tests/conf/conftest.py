"""A conf to be written and read."""

from pathlib import Path

import pytest

from sftdyn.conf.config import Config, load


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where it is; nobody else may read it."""
    path = tmp_path / "conf"
    path.touch(mode=0o600)
    return path


def loaded(path: Path, text: str) -> Config:
    """What a conf with this text means."""
    path.write_text(text)
    return load(path)
