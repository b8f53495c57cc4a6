import inspect
import subprocess
import sys

import pytest

import protocol_docs
from protocol_docs import errors


def test_exports_are_sorted_and_there():
    names = protocol_docs.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert all(hasattr(protocol_docs, name) for name in names)


@pytest.mark.parametrize(
    "module", ["protocol_docs", "protocol_docs.catalog", "protocol_docs.fetch", "protocol_docs.conformance"]
)
def test_importing_loads_nothing_that_is_heavy_or_optional(module):
    code = f"import sys, {module}; print(*(set(sys.modules) & {{'litellm', 'openai', 'httpx', 'diskcache', 'anyio', 'asyncio', 'negotiator', 'sandbox'}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_every_error_has_a_code_of_its_own_a_sentence_and_a_place_in_the_printed_tree():
    classes = [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.DocumentError)
    ]
    assert len({each.code for each in classes}) == len(classes) >= 12
    for each in classes:
        assert str(each())
        assert f" {each.__name__} " in errors.__doc__ or f" {each.__name__}\n" in errors.__doc__


def test_errors_are_caught_by_the_root_and_say_what_they_are_told():
    with pytest.raises(errors.DocumentError, match="told"):
        raise errors.StoreFull("told")
    assert issubclass(errors.StoreFull, errors.StoreUnusable)
