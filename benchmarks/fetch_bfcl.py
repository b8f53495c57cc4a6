"""The live functions of the Berkeley Function Calling Leaderboard, as the package `bfcl-eval` has them.

Written to DIR/bfcl, byte for byte: the questions and functions of `live_simple` and `live_multiple`, the right calls of
both below `possible_answer/`, and `README.txt` with source and licence.
"""

from collections.abc import Mapping

from benchmarks.fetch import DataSet, Source

NAME = "bfcl-eval==2026.3.23"
PARTS = ("BFCL_v4_live_simple.json", "BFCL_v4_live_multiple.json")
_NOTE = f"""\
Berkeley Function Calling Leaderboard v4, live questions, by their authors (Sky Computing Lab, UC Berkeley)
from the package {NAME} of the Python index
Licence: Apache-2.0, as the package's metadata says. Nothing was changed.
"""


def _all(source: Source) -> Mapping[str, bytes]:
    paths = [f"{folder}{name}" for folder in ("", "possible_answer/") for name in PARTS]
    return {path: source.read(f"bfcl_eval/data/{path}") for path in paths} | {"README.txt": _NOTE.encode()}


BFCL = DataSet(
    name="bfcl",
    title="Berkeley Function Calling Leaderboard v4, live functions",
    home=f"pypi:{NAME}",
    commit="sha256-3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
    licence="Apache-2.0",
    parts={"live": _all},
    pinned={
        "BFCL_v4_live_simple.json": "1af2ac87dca47556db7b7e37e51e28b459a38b594e3c7b3c792b4903598ca0c4",
        "BFCL_v4_live_multiple.json": "fd8ccfad4d911420d0e3341dbe2fff77d1d341da934248b9bb2bda24ab3a10c8",
        "possible_answer/BFCL_v4_live_simple.json": "fec9cfa9744a936f9126981e85a2023da1e63e273eafebc81923a1162fad70ce",
        "possible_answer/BFCL_v4_live_multiple.json": "97e90d59c5bd76c55a2920ce93e5566e9046307d3f558578f085f9d3a56c3084",
    },
)
