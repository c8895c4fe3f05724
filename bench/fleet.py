"""The clients of a load: their keys, names and last acknowledged addresses, and whether the zone agrees."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.nameserver import ZONE, dig

FIRST_ADDRESS = IPv4Address("127.1.0.1")


class Mismatch(Exception):
    """The zone does not hold what was acknowledged."""


@dataclass(frozen=True)
class Fleet:
    """`size` clients, each with a name of its own in `zone`: the first ones, or every `step`th.

    The file `addresses` has a line `KEY ADDRESS NAME` for each, which the load generator keeps up to date.
    """

    zone: str
    size: int
    folder: Path
    step: int = 1

    @property
    def addresses(self) -> Path:
        return self.folder / f"{self.zone}.addresses"

    @property
    def clients(self) -> Path:
        """A file of lines `KEY NAME`, for confs."""
        return self.folder / f"{self.zone}.clients"

    def labels(self) -> Iterator[str]:
        return (f"host-{number:07d}" for number in self._numbers())

    def names(self) -> Iterator[str]:
        return (f"{label}.{self.zone}" for label in self.labels())

    def keys(self) -> Iterator[str]:
        """As long as what `openssl rand -hex 16` prints."""
        return (f"{number:032x}" for number in self._numbers())

    def _numbers(self) -> range:
        return range(0, self.size * self.step, self.step)

    def zone_file(self) -> str:
        """The zone as it is at first: every name has an address already."""
        pairs = zip(self.labels(), self.first_addresses(), strict=True)
        records = (f"{label} 30 A {address}\n" for label, address in pairs)
        return ZONE + "".join(records)

    def first_addresses(self) -> Iterator[IPv4Address]:
        """What the names have at first."""
        return (FIRST_ADDRESS + number for number in self._numbers())

    def write(self) -> None:
        """Write both files, as the zone is at first."""
        clients = zip(self.keys(), self.names(), strict=True)
        self.clients.write_text("".join(f"{key} {name}\n" for key, name in clients))
        self.write_addresses(self.first_addresses())

    def read_addresses(self) -> list[IPv4Address]:
        """The last acknowledged address of each name, in their order."""
        return [IPv4Address(line.split()[1]) for line in self.addresses.read_text().splitlines()]

    def write_addresses(self, addresses: Iterable[IPv4Address]) -> None:
        """For the next load."""
        lines = zip(self.keys(), addresses, self.names(), strict=True)
        self.addresses.write_text("".join(f"{key} {address} {name}\n" for key, address, name in lines))

    def check(self, port: int, host: str = "127.0.0.1") -> None:
        """Compare the zone at the name server with what was acknowledged. Raises Mismatch."""
        found = transfer(self.zone, port, host)
        expected = {f"{name}.": str(a) for name, a in zip(self.names(), self.read_addresses(), strict=True)}
        wrong = [name for name, address in expected.items() if found.get(name) != [address]]
        if wrong:
            name = wrong[0]
            raise Mismatch(f"{len(wrong)} names are wrong: {name} is {found.get(name)}, not {expected[name]}")


def transfer(zone: str, port: int, host: str = "127.0.0.1") -> dict[str, list[str]]:
    """All A records of a zone, by name."""
    records: dict[str, list[str]] = {}
    for line in dig(port, zone, "AXFR", "+noall", "+answer", host=host).splitlines():
        match line.split():
            case [name, _, "IN", "A", address]:
                records.setdefault(name, []).append(address)
    return records
