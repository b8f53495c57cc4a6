"""Schema-Guided Dialogue and its robustness variants SGD-X, as schemas and recorded calls.

Written to DIR/sgd:

- `<split>/schema_v0.json`: the original schemas; `schema_v1.json` to `schema_v5.json`: the variants, with the same
  services, slots and intents in the same order under other names. Content as published.
- `<split>/calls.jsonl`: the service calls of the dialogues, each distinct (service, method, parameters) once, in the
  order of the dialogues, with the results of its first occurrence and `count`, how often it occurs: an object with
  `service`, `method`, `parameters`, `results`, `count` a line, in v0's names. Of train at most 150 a method.
- `LICENSE.txt` as published, and `README.txt` with source, licence and what was changed.

The commit pins all of it. The SHA-256 of the schemas of train and dev is pinned here besides, in the form in which they
are written (two spaces, a newline at the end). Those of test and of `calls.jsonl` follow from the commit and from the
rule above, and are recorded in the manifest when they are first made.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks.data import DataMissing
from benchmarks.fetch import DataSet, Source

VARIANTS = (1, 2, 3, 4, 5)
CALLS_A_METHOD = {"train": 150}
"""At most as many distinct calls of one method, for the splits where it matters."""


def _licence(source: Source) -> Mapping[str, bytes]:
    return {"LICENSE.txt": source.read("LICENSE.txt"), "README.txt": _NOTE.encode()}


def _split(split: str, source: Source) -> Mapping[str, bytes]:
    files = {f"{split}/schema_v0.json": _again(source, f"{split}/schema.json")}
    for variant in VARIANTS:
        files[f"{split}/schema_v{variant}.json"] = _again(source, f"sgd_x/data/v{variant}/{split}/schema.json")
    calls = distinct(_calls(split, source), CALLS_A_METHOD.get(split))
    files[f"{split}/calls.jsonl"] = "".join(json.dumps(call) + "\n" for call in calls).encode()
    return files


def distinct(calls: Iterable[dict[str, Any]], most: int | None) -> list[dict[str, Any]]:
    """Each (service, method, parameters) once, counted; at most `most` of a method, the earliest first."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    of_method: Counter[tuple[str, str]] = Counter()
    for call in calls:
        method = (call["service"], call["method"])
        key = (*method, json.dumps(call["parameters"], sort_keys=True))
        if key in found:
            found[key]["count"] += 1
        elif most is None or of_method[method] < most:
            found[key] = {**call, "count": 1}
            of_method[method] += 1
    return list(found.values())


def _calls(split: str, source: Source) -> Iterator[dict[str, Any]]:
    """Every service call of a split's dialogues, in order."""
    paths = source.below(split, "dialogues_")
    if not paths:
        raise DataMissing(f"the commit has no dialogues of {split}")
    for number, path in enumerate(paths, start=1):
        source.at(f"reading the dialogues of {split}: {number} of {len(paths)}")
        for dialogue in _json(path, source.read(path)):
            for turn in dialogue["turns"]:
                for frame in turn["frames"]:
                    if called := frame.get("service_call"):
                        yield {
                            "service": frame["service"],
                            "method": called["method"],
                            "parameters": called["parameters"],
                            "results": frame.get("service_results", []),
                        }


def _again(source: Source, path: str) -> bytes:
    """A JSON file in our own layout, so that its digest depends on nothing but its content."""
    return json.dumps(_json(path, source.read(path)), indent=2).encode() + b"\n"


def _json(path: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as problem:
        raise DataMissing(f"{path} is not JSON: {problem}") from problem


_HOME = "https://github.com/google-research-datasets/dstc8-schema-guided-dialogue"
_COMMIT = "e852981ae34990f4358979625854259302feaa78"
_NOTE = f"""\
Schema-Guided Dialogue (SGD) and SGD-X, by Google Research
{_HOME} at {_COMMIT}
Licence: CC BY-SA 4.0 (LICENSE.txt). Whoever passes this on keeps the licence and says what was changed.

Changed here: only the schemas and the service calls with their results were kept. The schemas were laid out anew
without a change of content. The calls were taken out of the dialogues, each distinct one once with the number of its
occurrences (train: at most {CALLS_A_METHOD["train"]} a method).
"""

SGD = DataSet(
    name="sgd",
    title="Schema-Guided Dialogue and SGD-X, Google Research",
    home=_HOME,
    commit=_COMMIT,
    licence="CC BY-SA 4.0",
    parts={"licence": _licence, **{split: partial(_split, split) for split in ("dev", "train", "test")}},
    pinned={
        "dev/schema_v0.json": "8fee8b1211500a4a1fb071765150e3267d20148bcad72a22c04bb1fdcd649366",
        "dev/schema_v1.json": "be8926b8fa31f4987b7584a5f1a604fb8755473a09585731a5071ba639844611",
        "dev/schema_v2.json": "1ba4a785e4a21cad45a190c786493a0ad431af38f654ae36ebdeac2c93cec021",
        "dev/schema_v3.json": "7b73696f1623913ce78ac18896ba2dc79734d2b05f46e88b74b86ae532ece566",
        "dev/schema_v4.json": "1a07a62adccf5e2f30bec7c1232acb3376cb05aad51a72bb4a90777114a5c77d",
        "dev/schema_v5.json": "aabc078710de511a021766eb062a2158a748a44d557f831382840ec0ae5487e2",
        "train/schema_v0.json": "97b6c21673aa7e5c2d1ceef52aa35170c565223cdcbf33bb24c69739bda04a82",
        "train/schema_v1.json": "aa8dc37ca970c498215b58339d83c3e94e92cea5262161e3a8aa612763135cd8",
        "train/schema_v2.json": "93731b407eb7e01679381148818ef16c9a0640664cb7fd792e1a53acf39f3938",
        "train/schema_v3.json": "4a7a6d0ba8eff92543494ca682c43333d57a223bfbcad17e35f0b4d0e211e321",
        "train/schema_v4.json": "2a4fc1d937a514536fdea0033069eb4ff6e9bcd4a34bfebb20cb5c49d3ef7cba",
        "train/schema_v5.json": "0a9fae5501e2950321a8d0d5622078d0c278f7e28690698f24bb1b33f32832ca",
    },
)
