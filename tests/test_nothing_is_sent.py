"""No command sends anything: an empty home stays empty, and no socket reaches for the network.

Commands run without CI, which some libraries take for a reason to be silent, and under strace where
it may run, which sees the sockets of native code too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import answers, linear_model, scored_predictions, tiny_bundle
from hemiface.data.phantom import make as phantom
from hemiface.occlusion.conditions import COALITIONS
from hemiface.tables import EMOTIONS, write_predictions

pytestmark = pytest.mark.slow

MAIN = "from hemiface.cli import main; main()"
MANY = """
import json, sys
from hemiface.cli import main
for line in json.loads(sys.argv[1]):
    sys.argv = ["hemiface", *line]
    try: main()
    except SystemExit as end:
        if end.code: sys.exit(f"{line}: {end.code}")
"""
"""Commands in one process: what they import takes longer than what they do."""
TRACED = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=socket,connect,sendto")


def can_trace() -> bool:
    """Whether strace is there and may look, which containers can forbid."""
    try:
        tried = subprocess.run(
            [*TRACED, "-o", os.devnull, "true"], capture_output=True, check=False
        )
    except OSError:
        return False
    return tried.returncode == 0


CAN_TRACE = can_trace()
NETWORK = re.compile(r"\bAF_INET")
"""To look up a name is to send to a name server; unlike users' names, which have sockets too."""

LOOPBACK = 'sin_addr=inet_addr("127.0.0.1")'

Ran = tuple[subprocess.CompletedProcess[str], list[str], list[str]]
Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path) -> Run:
    """Run Python code with arguments: what came of it, files in its home, calls to the network."""

    def go(code: str, *arguments: object, telemetry: str | None = None) -> Ran:
        home, log = tmp_path / "home", tmp_path / "calls.txt"
        home.mkdir(exist_ok=True)
        known = {
            key: value
            for key, value in os.environ.items()
            if key not in ("CI", "ORT_DISABLE_TELEMETRY", "HEMIFACE_CACHE")
            and not key.startswith("XDG_")
        }
        # Matplotlib keeps a list of fonts wherever it may; that is no sign of use.
        known |= {"HOME": str(home), "MPLCONFIGDIR": str(tmp_path / "fonts")}
        if telemetry is not None:
            known["ORT_DISABLE_TELEMETRY"] = telemetry
        watched = [*TRACED, "-o", str(log)] if CAN_TRACE else []
        command = [*watched, sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
        calls = log.read_text().splitlines() if log.is_file() else []
        files = [str(one.relative_to(home)) for one in home.rglob("*") if one.is_file()]
        return done, files, [one for one in calls if NETWORK.search(one)]

    return go


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, face in enumerate(phantom.render(np.arange(3), seed=0)):
        Image.fromarray(face).save(folder / f"{index}.png")
    return folder


def silent(ran: Ran) -> None:
    done, files, calls = ran
    assert done.returncode == 0, done.stderr
    assert files == []
    assert calls == []


def many(*commands: list[object]) -> tuple[str, str]:
    return MANY, json.dumps([[str(word) for word in one] for one in commands])


def test_what_a_light_install_runs(run, photos, tmp_path):
    photo = photos / "0.png"
    silent(
        run(
            *many(
                ["predict", photos, "--no-detect", "--out", tmp_path / "out"],
                ["predict", photo, "--no-detect", "--json"],
                ["predict", photos, "--no-detect", "--shard", "1/1", "--out", tmp_path / "parts"],
                ["merge", tmp_path / "parts"],
                ["occlude", photo, "--hide", "lower", "--out", tmp_path / "hidden"],
                ["models", "list"],
                ["models", "verify"],
                ["configs", "quick"],
                ["info"],
            )
        )
    )


def test_a_training_and_what_is_made_of_a_network(run, tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny.safetensors")
    data = ["--data", "phantom:n=70,seed=0"]
    silent(
        run(
            *many(
                ["data", "check", data[1]],
                ["train", "quick", *data, "--max-steps", "1", "--out", tmp_path / "trained"],
                ["evaluate", bundle, *data, "--out", tmp_path / "table.parquet"],
                ["tiles", bundle, *data, "--limit", "2", "--out", tmp_path / "tiles.parquet"],
                ["export", bundle, "--out", tmp_path / "tiny.onnx"],
            )
        )
    )


def test_what_is_made_of_predictions(run, tmp_path):
    labels = np.arange(42) % 7
    right = answers(labels, np.random.default_rng(0).random(42) < 0.8)
    splits = np.where(np.arange(42) < 21, "validation", "test")
    table, few_cells = tmp_path / "predictions.parquet", tmp_path / "few" / "predictions.parquet"
    few_cells.parent.mkdir()
    for path, conditions in ((table, COALITIONS.values()), (few_cells, ("full", "upper"))):
        outcomes = {("full-seed0", name): right for name in conditions}
        write_predictions(scored_predictions(outcomes, labels, split=splits), path)
    few = ["--draws", "20"]
    silent(
        run(
            *many(
                ["compare", table, *few],
                ["calibrate", table, *few],
                ["importance", table, *few],
                ["information", table, *few],
                ["data", "across", table, "--out", tmp_path / "across.csv"],
                ["report", few_cells, "--out", tmp_path / "report.html"],
            )
        )
    )


def test_stimuli_and_what_people_answered(run, tmp_path):
    faces, made = tmp_path / "faces", tmp_path / "set"
    for emotion, pixels in zip(EMOTIONS, phantom.render(np.arange(7), seed=0), strict=True):
        (faces / emotion).mkdir(parents=True)
        Image.fromarray(pixels).save(faces / emotion / f"{emotion}.png")
    wanted = ["--set", "halves", "--size", 48, "--participants", 1]
    silent(run(*many(["occlude", faces, "--out", made, *wanted])))
    trials = json.loads((made / "materials" / "trials.json").read_text())
    given = [f"{who},{trial['stimulus']},happy" for who, own in trials.items() for trial in own]
    said = made / "answers.csv"
    said.write_text("\n".join(["participant,stimulus,response", *given]))
    model = linear_model(tmp_path / "linear.onnx")
    words = ["people", said, "--model", model, "--out", tmp_path / "people", "--draws", 20]
    silent(run(*many(words)))
    assert (tmp_path / "people" / "people.html").is_file()


def test_a_video(run, photos, tmp_path):
    pytest.importorskip("av", reason="videos need hemiface[video]")
    from hemiface.vision.video.frames import open_writer

    clip = tmp_path / "clip.mp4"
    with open_writer(clip) as writer:
        for photo in sorted(photos.iterdir()):
            grey = np.asarray(Image.open(photo))
            writer.add(np.repeat(grey[..., None], 3, axis=2), None)
    out = tmp_path / "out"
    silent(run(*many(["predict", clip, "--no-detect", "--save-image", "--out", out])))
    assert len(list(out.rglob("*.mp4"))) == 1


ALLOWED = re.compile(r'127\.0\.0\.1|AF_INET6, .*"::1"|"169\.254\.169\.254"|htons\(53\)')


def test_a_cluster_of_this_machine(run, photos, tmp_path):
    pytest.importorskip("ray", reason="a cluster needs hemiface[ray]")
    words = ["predict", photos, "--no-detect", "--on", "ray", "--workers", "1"]
    done, files, calls = run(*many([*words, "--out", tmp_path / "out"]))
    # By a random token the processes of a cluster know each other.
    assert (done.returncode, set(files) - {".ray/auth_token"}) == (0, set()), done.stderr
    # Its processes talk with each other, on the loopback alone. As it starts Ray asks where clouds
    # answer their own machines, by a name too: only that, and it can't be switched off.
    far = [one for one in calls if re.search(r"\b(connect|sendto)\(", one)]
    assert [one for one in far if not ALLOWED.search(one)] == []
    assert not CAN_TRACE or far


def test_a_page_as_pdf(run, tmp_path):
    page, pdf = tmp_path / "page.html", tmp_path / "page.pdf"
    page.write_text("<h1>One</h1><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>")
    code = (
        "import sys; from pathlib import Path; from hemiface.report.pdf import write_pdf\n"
        "write_pdf(Path(sys.argv[1]))"
    )
    done, _, calls = run(code, page)
    if "A PDF needs" in done.stderr:
        pytest.skip("a PDF needs hemiface[pdf] and Pango")
    # Fontconfig may keep a list of fonts in the home folder.
    assert done.returncode == 0, done.stderr
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert calls == []


SERVED = """
import http.client, os, signal, sys, threading
from hemiface.serve.app import create_app
from hemiface.serve.run import listen, run
from hemiface.vision.predictor import Predictor

listening = listen("127.0.0.1", 0)

def ask():
    for method, path, body in (
        ("POST", "/predict", open(sys.argv[1], "rb").read()), ("GET", "/docs", None),
        ("GET", "/openapi.json", None), ("GET", "/metrics", None), ("GET", "/health", None),
    ):
        asked = http.client.HTTPConnection(*listening.getsockname())
        asked.request(method, path, body, {"Content-Type": "image/png"} if body else {})
        assert asked.getresponse().status == 200, path
    print("answered", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

signal.signal(signal.SIGTERM, signal.default_int_handler)
app = create_app(Predictor(no_detect=True))
run(app, listening, lambda: threading.Thread(target=ask).start())
"""


def test_the_service(run, photos):
    pytest.importorskip("fastapi", reason="the service needs hemiface[serve]")
    done, files, calls = run(SERVED, photos / "0.png")
    assert (done.returncode, done.stdout, files) == (0, "answered\n", []), done.stderr
    # It listens, and its own client asks it; nobody is asked elsewhere.
    far = [one for one in calls if re.search(r"\b(connect|sendto)\(", one) and LOOPBACK not in one]
    assert far == []
    assert not CAN_TRACE or any(LOOPBACK in one for one in calls)


def test_a_program_that_quantises(run):
    silent(run("import hemiface.networks.quantise"))


def test_a_users_own_choice_stays(run):
    code = "import os, hemiface; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert run(code, telemetry="0")[0].stdout.split() == ["0"]
    assert run(code)[0].stdout.split() == ["1"]


class TestTheWatch:
    """What the tests above look for would be seen."""

    def test_a_file(self, run):
        code = "from pathlib import Path; (Path.home() / 'device-id').write_text('1')"
        assert run(code)[1] == ["device-id"]

    @pytest.mark.skipif(not CAN_TRACE, reason="strace, which watches sockets, isn't there")
    def test_a_socket_and_a_name(self, run):
        connect = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
        assert run(connect)[2]
        look_up = "import socket\ntry: socket.getaddrinfo('a.invalid', 80)\nexcept OSError: pass"
        assert run(look_up)[2]

    def test_the_runtime_that_is_not_told(self, run, tmp_path):
        """It keeps a device ID; where it doesn't, by version or build, there is nothing to end."""
        model = linear_model(tmp_path / "one.onnx")
        code = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
        files = run(code, model)[1]
        if not files:
            pytest.skip("this ONNX Runtime keeps nothing in the home folder")
        assert any("onnxruntime" in one for one in files)
        shutil.rmtree(tmp_path / "home")
        assert run(code, model, telemetry="1")[1] == []
