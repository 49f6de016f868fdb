"""Files to Images: readers, the cache, the audit and rendered faces."""

from hemiface.data.cache import prepare
from hemiface.data.images import Images
from hemiface.data.readers import load

__all__ = ["Images", "load", "prepare"]
