"""Public data sets that the benchmarks read and the project does not ship."""

import os
from pathlib import Path

COMMIT = "e852981d1a1ef9c0b6a3ac2d0cbb44ed05dc5a3e"


class DataMissing(Exception):
    """A data set is not where it was looked for; the message says how to get it."""


def data_directory(given: str | None) -> Path:
    """The folder that holds the data sets: `--data`, else the environment variable NEGOTIATOR_DATA."""
    named = given or os.environ.get("NEGOTIATOR_DATA")
    if not named:
        raise DataMissing(
            "name the data folder with --data or NEGOTIATOR_DATA; fetch it with: python -m benchmarks fetch sgd"
        )
    directory = Path(named)
    if not directory.is_dir():
        raise DataMissing(
            f"{directory} is no folder; fetch the data with: python -m benchmarks fetch sgd --data {directory}"
        )
    return directory
