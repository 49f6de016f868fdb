"""Files to Images: readers, the cache, the audit and rendered faces."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hemiface.data.cache import prepare
    from hemiface.data.images import Images
    from hemiface.data.readers import load

__all__ = ["Images", "load", "prepare"]

_MODULES = {
    "Images": "hemiface.data.images",
    "load": "hemiface.data.readers",
    "prepare": "hemiface.data.cache",
}


def __getattr__(name: str) -> Any:
    # Not before they are used: predicting needs `pictures` alone, and these import pandas.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'hemiface.data' has no attribute {name!r}")
