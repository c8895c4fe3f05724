"""The wheel and the sdist: they hold what they should and nothing else, and work."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sftdyn
from tests.lab.machine import ROOT

BUILD_SDIST = "import setuptools.build_meta as backend; backend.build_sdist('dist')"
# What the wheel installs beside the package, and where it has it from.
DATA = {
    "share/sftdyn": "etc",
    "share/sftdyn/clients": "etc/clients",
    "share/sftdyn/proxies": "etc/proxies",
    "share/sftdyn/fail2ban/filter.d": "etc/fail2ban/filter.d",
    "share/sftdyn/fail2ban/jail.d": "etc/fail2ban/jail.d",
    "share/doc/sftdyn": ".",
    "share/doc/sftdyn/docs": "docs",
    "share/man/man5": "man",
    "share/man/man8": "man",
    "lib/systemd/system": ". etc/systemd",
}
WHOLE = (
    "etc/clients",
    "etc/proxies",
    "etc/systemd",
    "docs",
    "man",
    "sftdyn",
)  # folders of which nothing may be missing


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_of(folder: Path) -> Path:
    """Built without the network: setuptools is among the tests' own packages."""
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir=dist"]
    run(folder, sys.executable, "-m", "pip", "wheel", *options, ".")
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that git would see as clean."""
    folder = tmp_path_factory.mktemp("checkout") / "sftdyn"
    shutil.copytree(ROOT, folder, ignore=_ignored)
    return folder


def _ignored(folder: str, names: list[str]) -> set[str]:
    """What .gitignore has, folders all, and what is hidden."""
    patterns = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()]
    found = shutil.ignore_patterns(*patterns)(folder, [name for name in names if Path(folder, name).is_dir()])
    return found | {name for name in names if name.startswith(".")}


@pytest.fixture(scope="module")
def source(checkout: Path) -> Path:
    """The unpacked sdist."""
    before = files(checkout)
    run(checkout, sys.executable, "-c", BUILD_SDIST)
    run(checkout.parent, "tar", "-xf", checkout / f"dist/sftdyn-{sftdyn.__version__}.tar.gz")
    for made in ("dist", "sftdyn.egg-info"):
        shutil.rmtree(checkout / made)
    assert files(checkout) == before
    return checkout.parent / f"sftdyn-{sftdyn.__version__}"


@pytest.fixture(scope="module")
def wheel(checkout: Path, source: Path) -> Path:
    return wheel_of(checkout)


def test_the_sdist_is_the_checkout(checkout: Path, source: Path) -> None:
    added = {name for name in files(source) - files(checkout) if not name.startswith("sftdyn.egg-info/")}
    assert added == {"PKG-INFO"}
    assert files(checkout) - files(source) == set()


def test_the_wheel_holds_the_package_and_what_belongs_beside_it(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    version = sftdyn.__version__
    assert wheel.name == f"sftdyn-{version}-py3-none-any.whl"
    taken: set[Path] = set()
    for name in archive.namelist():
        inside = name.removeprefix(f"sftdyn-{version}.data/data/")
        if inside.startswith(f"sftdyn-{version}.dist-info/"):
            continue
        place, _, file = inside.rpartition("/")
        [path] = [
            folder / file for folder in map(ROOT.joinpath, DATA.get(place, place).split()) if (folder / file).exists()
        ]
        assert archive.read(name) == path.read_bytes(), name
        assert place in DATA or place.split("/")[0] == "sftdyn", name
        taken.add(path.resolve())
    for folder in WHOLE:
        every = {path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        assert every <= taken, every - taken


def test_the_wheel_of_the_sdist_is_that_of_the_checkout(source: Path, wheel: Path) -> None:
    one, other = (zipfile.ZipFile(path) for path in (wheel, wheel_of(source)))
    assert {name: one.read(name) for name in one.namelist()} == {name: other.read(name) for name in other.namelist()}


def test_what_pip_installs_makes_keys_and_takes_the_sample_conf(wheel: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "opt"
    run(tmp_path, sys.executable, "-m", "venv", "--without-pip", prefix)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", str(prefix / "bin/python")]
    run(tmp_path, *pip, "install", "--no-index", wheel)
    installed = [path.name for path in prefix.glob("lib/*/site-packages/*.dist-info")]
    assert installed == [f"sftdyn-{sftdyn.__version__}.dist-info"], "it needs no other package"
    command = prefix / "bin/sftdyn"
    assert run(tmp_path, command, "--version") == f"sftdyn {sftdyn.__version__}\n"
    lines = run(tmp_path, command, "--new-key", "home.dyn.example")
    assert lines.count("# --- ") == len(list((ROOT / "etc/clients").iterdir()))
    conf = tmp_path / "conf"
    conf.write_text((prefix / "share/sftdyn/sample.conf").read_text() + lines.splitlines()[3] + "\n")
    assert "\nclients: 1" in run(tmp_path, command, "--check", conf)
