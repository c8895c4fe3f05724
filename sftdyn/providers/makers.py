"""Which provider is for which value of the conf."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from ..values.specs import Bind, Cloudflare, Desec, Function
from ..values.update import Provider
from . import desec
from .bind import backend as bind
from .cloudflare import backend as cloudflare
from .desk.desk import Desk
from .function import FunctionProvider

Makers: TypeAlias = Mapping[type[Any], Callable[[float], Provider]]  # what runs at one place, with a timeout in seconds

MAKERS: Makers = {
    Bind: partial(Desk, bind.MAKER),
    Cloudflare: partial(Desk, cloudflare.MAKER),
    Desec: partial(Desk, desec.MAKER),
    Function: FunctionProvider,
}
