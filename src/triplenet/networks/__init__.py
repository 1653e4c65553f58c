"""The methods of Tables 2 and 3, one file each, behind one interface.

``build("triple", classes=2)`` gives a network; ``options_model("triple")`` what can be chosen about it. The module
that the catalog names for a method defines ``Options`` (pydantic) and ``METHOD`` (its class, built as
``METHOD(classes, options)``); ``examples/own_method`` is one of another package. Importing this
package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from triplenet import catalog
from triplenet.errors import BadMethod, BadRecipe, MissingExtra

if TYPE_CHECKING:
    from triplenet.networks.base import Network
    from triplenet.networks.network_options import NetworkOptions

__all__ = ["build", "options_model"]


def build(name: str, classes: int = 2, **options: object) -> Network:
    """A method's network with fresh weights.

    :param options: as the method's ``Options`` names them; the defaults are those of the paper's method
    :raises UnknownName: there is no such method
    :raises BadRecipe: an option that the method does not have, or a value that is not possible
    :raises MissingExtra: torch (or, for a ``timm:`` encoder, timm) is not installed
    """
    module = _module(name)
    try:
        chosen = module.Options(**options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["network", *(str(part) for part in first["loc"])])
        raise BadRecipe(f"{key}: {first['msg']}", where=f"method {name!r}") from error
    network: Network = module.METHOD(classes, chosen)
    return network


def options_model(name: str) -> type[NetworkOptions]:
    """The pydantic model of a method's options: what a recipe may say under ``[network]``.

    :raises UnknownName: there is no such method
    :raises MissingExtra: torch is not installed
    """
    model: type[NetworkOptions] = _module(name).Options
    return model


def _module(name: str) -> ModuleType:
    """The module that defines a method's options and network.

    :raises BadMethod: it is another package's and does not
    """
    method = catalog.method(name)
    try:
        module = import_module(method.module)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise _bad(method, f"{type(error).__name__}: {error}") from error
        raise MissingExtra(
            "networks need torch, which is not installed", do="pip install 'triplenet[train]'"
        ) from error
    except Exception as error:  # whatever another package does when it is imported
        raise _bad(method, f"{type(error).__name__}: {error}") from error
    if method.package and not _defines_a_network(module):
        raise _bad(method, f"{method.module} does not define Options, a NetworkOptions, and METHOD, a Network")
    return module


def _bad(method: catalog.Method, why: str) -> BadMethod:
    return BadMethod(f"the network cannot be used ({why})", where=repr(method.name), do=f"mend {method.package}")


def _defines_a_network(module: ModuleType) -> bool:
    from triplenet.networks.base import Network
    from triplenet.networks.network_options import NetworkOptions

    options, network = getattr(module, "Options", None), getattr(module, "METHOD", None)
    return (
        isinstance(options, type)
        and issubclass(options, NetworkOptions)
        and isinstance(network, type)
        and issubclass(network, Network)
    )
