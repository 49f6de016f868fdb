"""Rendered faces ("phantom faces"): a data set without a download whose right answers are known."""

from hemiface.data.phantom.make import *  # noqa: F403
from hemiface.data.phantom.make import __all__  # noqa: F401
