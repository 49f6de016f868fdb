import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; skips, saying so, where it is absent."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("HEMIFACE_DATA", beside))
    if not (folder / "fer2013").is_dir():
        pytest.skip(f"the real data is not at {folder} (set HEMIFACE_DATA)")
    return folder
