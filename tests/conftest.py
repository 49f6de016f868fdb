import gc
import os
import pickle
import signal
import time
from collections.abc import Iterator

# Before anything imports torch or numpy: workers share the cores already.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
from pathlib import Path

import pytest
from hypothesis import settings

from builders import Exported, export_tiny
from hemiface.files import atomic_path

# How long an example takes says nothing on a machine that does other work too.
settings.register_profile("hemiface", deadline=None)
settings.load_profile("hemiface")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Hear Ctrl-C, which a shell tells what it starts in the background to ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def settled_heap() -> None:
    """Spare the collector what earlier modules left, such as libraries.

    Some libraries collect garbage in each call (statsmodels' `multipletests`, exports), which takes
    a second once a worker has imported everything.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; skips, saying so, where it is absent."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("HEMIFACE_DATA", beside))
    if not (folder / "fer2013").is_dir():
        pytest.skip(f"the real data is not at {folder} (set HEMIFACE_DATA)")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep torch on one thread: the networks here are too small to share."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Exported:
    """One tiny Bundle and its three exports; files that no test may change.

    The first worker that needs them makes them for all: exporting takes half a minute.
    """
    if worker_id == "master":
        return export_tiny(tmp_path_factory.mktemp("exported"))
    folder = tmp_path_factory.getbasetemp().parent / "exported"
    known = folder / "exported.pickle"
    try:
        folder.mkdir()
    except FileExistsError:
        while not known.is_file():  # pytest's timeout ends it
            time.sleep(0.1)
    else:
        made = export_tiny(folder)
        with atomic_path(known) as partial:
            partial.write_bytes(pickle.dumps(made))
    return pickle.loads(known.read_bytes())  # noqa: S301


@pytest.fixture(scope="session")
def face_networks() -> Path:
    """The cache with the two networks that find faces; pulls them once, or skips, saying why.

    HEMIFACE_OFFLINE=1 forbids the pull. Networks that came but aren't what they should be fail.
    """
    from hemiface.errors import DamagedError, HemifaceError
    from hemiface.vision.finding import assets

    try:
        files = assets.pull()
    except DamagedError:
        raise
    except HemifaceError as error:
        pytest.skip(f"the networks that find faces can't be had: {error}")
    return files[0].parent
