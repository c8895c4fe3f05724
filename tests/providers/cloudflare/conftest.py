"""What the tests of the provider share."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from sftdyn.values.outcome import Outcome, Result
from sftdyn.values.specs import Cloudflare as Spec
from sftdyn.values.update import RRset, RRType
from tests.lab.cloudflare import Cloudflare
from tests.providers.alone import Alone

HOME = "home.example.org"
Found = TypeVar("Found")


def spec(api: Cloudflare, **said: Any) -> Spec:
    """The provider of a conf, with a token for everything if nothing else is said."""
    if not {"token", "key"} & set(said):
        said["token"] = api.add_token()
    return Spec(url=api.url, ca=api.ca, **said)


def publishing(api: Cloudflare, work: Callable[[Alone], Awaitable[Found]], *, timeout: float = 5, **said: Any) -> Found:
    """What `work` returns, with a running provider."""

    async def run() -> Found:
        provider = Alone(spec(api, **said), timeout)
        try:
            return await work(provider)
        finally:
            await provider.close()

    return asyncio.run(run())


def wanted(*addresses: str, name: str = HOME, kind: RRType | None = None, ttl: int = 300) -> RRset:
    """A record set; without addresses of type A."""
    return RRset(name + ".", kind or ("AAAA" if ":" in "".join(addresses) else "A"), tuple(sorted(addresses)), ttl)


def publish(api: Cloudflare, *updates: RRset | Iterable[RRset], **said: Any) -> list[Result]:
    """What becomes of some updates, one after the other."""

    async def work(provider: Alone) -> list[Result]:
        return [await provider.publish([u] if isinstance(u, RRset) else list(u)) for u in updates]

    return publishing(api, work, **said)


def outcomes(results: Iterable[Result]) -> list[Outcome]:
    return [result.outcome for result in results]
