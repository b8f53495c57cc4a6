"""Public data sets that the benchmarks read and the project does not ship: where they are looked for."""

import os
from pathlib import Path


class DataMissing(Exception):
    """A data set is not where it was looked for, or cannot be had; the message says what to do."""


def data_directory(given: str | None) -> Path:
    """The folder that holds the data sets: `--data`, else the environment variable NEGOTIATOR_DATA."""
    directory = named_directory(given)
    if not directory.is_dir():
        raise DataMissing(
            f"{directory} is no folder; fetch the data with: python -m benchmarks fetch sgd --data {directory}"
        )
    return directory


def named_directory(given: str | None) -> Path:
    """The same, whether it is there yet or not."""
    named = given or os.environ.get("NEGOTIATOR_DATA")
    if not named:
        raise DataMissing(
            "name the data folder with --data or NEGOTIATOR_DATA; fetch it with: "
            "python -m benchmarks fetch sgd --data DIR"
        )
    return Path(named).expanduser()
