"""What is public is listed, in order, and is there."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["negotiator", "protocol_docs", "sandbox"]


def _public_packages() -> list[str]:
    """The three packages, and those inside them that list public names; found without importing them."""
    inner = [
        ".".join(found.parent.relative_to(ROOT).parts)
        for name in PACKAGES
        for found in sorted((ROOT / name).rglob("*/__init__.py"))
        if "__all__" in found.read_text(encoding="utf-8")
    ]
    return PACKAGES + inner


def _in_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name: the order that ruff keeps `__all__` in."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


@pytest.mark.parametrize("name", _public_packages())
def test_the_public_names_are_sorted_and_there(name: str) -> None:
    package = importlib.import_module(name)
    public = list(package.__all__)
    assert public == sorted(public, key=_in_order)
    assert len(public) == len(set(public))
    assert [export for export in public if not hasattr(package, export)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_says_what_it_is(name: str) -> None:
    package = importlib.import_module(name)
    described = (getattr(package, export) for export in package.__all__)
    silent = [item.__name__ for item in described if callable(item) and hasattr(item, "__name__") and not item.__doc__]
    assert silent == []
