from hypothesis import given
from hypothesis import strategies as st

from negotiator.oauth.challenge import Challenge, bearer_challenge, read_challenges, write_challenge

NAMES = st.from_regex(r"[a-z][a-z_]{0,11}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


def test_a_challenge_is_read_with_its_parameters_quoted_or_not():
    said = 'Bearer realm="a b", scope="mcp:read  mcp:write mcp:read", resource_metadata=https://a.example/x?y=z'
    (found,) = read_challenges(said)
    assert found.scheme == "bearer"
    assert found.scopes == ("mcp:read", "mcp:write")
    assert found.parameters["realm"] == "a b"
    assert found.parameters["resource_metadata"] == "https://a.example/x?y=z"


def test_of_several_challenges_each_has_its_own_parameters():
    said = 'Negotiate, Basic YWJj==, DIDWba realm="x", error="invalid_nonce", Bearer error="invalid_token"'
    found = read_challenges(said)
    assert [each.scheme for each in found] == ["negotiate", "basic", "didwba", "bearer"]
    assert found[2].parameters == {"realm": "x", "error": "invalid_nonce"}
    assert bearer_challenge(said) == Challenge("bearer", {"error": "invalid_token"})


def test_a_parameter_inside_a_quoted_value_is_text():
    found = bearer_challenge('Bearer error_description="say \\"scope=all\\", resource_metadata=x", scope="a"')
    assert found is not None
    assert found.scopes == ("a",)
    assert "resource_metadata" not in found.parameters


def test_of_a_name_that_repeats_the_first_holds():
    found = bearer_challenge('Bearer scope="a", scope="b"')
    assert found is not None
    assert found.scopes == ("a",)


@given(st.lists(st.tuples(NAMES, st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)), min_size=1, max_size=4))
def test_what_is_written_is_read_again(said):
    header = ", ".join(write_challenge(scheme, parameters) for scheme, parameters in said)
    assert [(each.scheme, dict(each.parameters)) for each in read_challenges(header)] == said


@given(st.text(max_size=200))
def test_any_header_is_read_and_what_is_written_is_one_line(text):
    for each in read_challenges(text):
        assert each.scheme == each.scheme.lower()
    line = write_challenge("Bearer", {"error_description": text})
    assert line.isascii()
    assert line.isprintable()
