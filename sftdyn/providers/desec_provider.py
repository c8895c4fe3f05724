"""Names at deSEC, until there is one table of makers for all backends."""

from ..values.specs import Desec
from .cloudflare.provider import CloudflareProvider
from .desec import MANNER, DesecBackend
from .desk.desk import Desk


class DesecProvider(CloudflareProvider):
    """Publishes at deSEC; made inside a running event loop."""

    def __init__(self, spec: Desec, timeout: float) -> None:
        self._spec = spec  # type: ignore[assignment]
        self._timeout = timeout
        self._desk = Desk(self._make, MANNER, timeout)

    def _make(self, secret: str | None) -> DesecBackend | None:
        spec: Desec = self._spec  # type: ignore[assignment]
        if spec.passes_secret and not secret:
            return None
        return DesecBackend(spec, secret, self._timeout, self._desk.exchanges)
