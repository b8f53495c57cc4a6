"""The OpenAPI description of the GitHub API, as the npm package `@octokit/openapi` has it.

Written to DIR/octokit:

- `api.github.com.json`: the description, byte for byte.
- `LICENSE` as published, and `README.txt` with source and licence.

Documents are drafted from it by rule where they are needed (`benchmarks.openapi_documents`).
"""

from collections.abc import Mapping

from benchmarks.fetch import DataSet, Source

NAME = "@octokit/openapi@23.0.2"
_NOTE = f"""\
OpenAPI description of the GitHub REST API, from the npm package {NAME}
Licence: MIT (LICENSE). Nothing was changed.
"""


def _all(source: Source) -> Mapping[str, bytes]:
    return {
        "api.github.com.json": source.read("generated/api.github.com.json"),
        "LICENSE": source.read("LICENSE"),
        "README.txt": _NOTE.encode(),
    }


OCTOKIT = DataSet(
    name="octokit",
    title="OpenAPI description of the GitHub REST API, GitHub and Octokit",
    home=f"npm:{NAME}",
    commit="sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
    licence="MIT",
    parts={"description": _all},
    pinned={
        "api.github.com.json": "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a",
        "LICENSE": "91fd2d025ca697f02becd68acaabc6373fa853a04c4f7543b306e830d3ed6b36",
    },
)
