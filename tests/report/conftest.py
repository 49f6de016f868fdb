"""What tests of the page share."""

import pytest

from hemiface.report import page
from hemiface.report.figure_files import Figures


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures, which take long, where only words and tables are looked at."""
    monkeypatch.setattr(page, "draw", lambda *_, **__: (Figures(), ""))
