import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.oauth import AuthorizationUntrusted
from negotiator.oauth.metadata import (
    ServerMetadata,
    confidential,
    covers,
    read_resource,
    read_server,
    require_s256,
    resource_metadata_urls,
    server_metadata_urls,
)

SEGMENTS = st.lists(st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True), max_size=4)


def test_a_resource_is_looked_for_at_its_path_first_and_then_at_the_root():
    assert resource_metadata_urls("https://a.example/x/mcp") == (
        "https://a.example/.well-known/oauth-protected-resource/x/mcp",
        "https://a.example/.well-known/oauth-protected-resource",
    )
    assert resource_metadata_urls("https://a.example/") == ("https://a.example/.well-known/oauth-protected-resource",)


def test_a_server_is_looked_for_in_the_three_ways_that_mcp_has_in_their_order():
    assert server_metadata_urls("https://a.example/tenant") == (
        "https://a.example/.well-known/oauth-authorization-server/tenant",
        "https://a.example/.well-known/openid-configuration/tenant",
        "https://a.example/tenant/.well-known/openid-configuration",
    )
    assert server_metadata_urls("https://a.example") == (
        "https://a.example/.well-known/oauth-authorization-server",
        "https://a.example/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    ("resource", "url", "expected"),
    [
        ("https://a.example/mcp", "https://a.example/mcp", True),
        ("https://a.example", "https://a.example/mcp", True),
        ("https://a.example/", "https://a.example/mcp", True),
        ("https://a.example:443/mcp", "https://a.example/mcp/", True),
        ("https://A.example/mcp", "https://a.example/mcp/tools", True),
        ("https://a.example/mcp", "https://a.example/mcpx", False),
        ("https://a.example/mcp", "https://a.example/mcp/../other", False),
        ("https://a.example/mcp", "https://a.example/mcp/%2e%2e/other", False),
        ("https://a.example/mcp", "https://a.example", False),
        ("https://a.example/mcp", "http://a.example/mcp", False),
        ("https://a.example/mcp", "https://a.example:444/mcp", False),
        ("https://a.example.evil.example/mcp", "https://a.example/mcp", False),
        ("https://a.example@evil.example/mcp", "https://evil.example/mcp", False),
        ("https://a.example/mcp#x", "https://a.example/mcp", False),
        ("urn:a", "https://a.example/mcp", False),
    ],
)
def test_a_resource_covers_its_origin_and_path_and_what_is_below(resource, url, expected):
    assert covers(resource, url) is expected


@given(SEGMENTS, SEGMENTS)
def test_a_resource_covers_exactly_what_begins_with_all_of_its_segments(above, below):
    resource, url = ("/".join(["https://a.example", *parts]) for parts in (above, below))
    assert covers(resource, url) == (below[: len(above)] == above)


def test_metadata_of_another_resource_or_issuer_are_refused():
    with pytest.raises(AuthorizationUntrusted):
        read_resource({"resource": "https://evil.example/mcp"}, "https://a.example/mcp")
    with pytest.raises(AuthorizationUntrusted):
        read_server({"issuer": "https://a.example/"}, "https://a.example")


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "registration_endpoint", "jwks_uri"])
def test_an_endpoint_without_tls_is_refused(name):
    with pytest.raises(AuthorizationUntrusted):
        read_server({"issuer": "https://a.example", name: "http://a.example/x"}, "https://a.example")


def test_a_server_that_does_not_say_that_it_knows_s256_is_refused():
    for known in (None, (), ("plain",)):
        with pytest.raises(AuthorizationUntrusted):
            require_s256(ServerMetadata(issuer="https://a.example", code_challenge_methods_supported=known))
    require_s256(ServerMetadata(issuer="https://a.example", code_challenge_methods_supported=("plain", "S256")))


def test_only_this_machine_is_confidential_without_tls():
    given = ["https://a.example", "http://127.0.0.1:1/x", "http://localhost", "http://[::1]:1", "http://a.localhost"]
    assert [each for each in given if not confidential(each)] == []
    assert not confidential("http://a.example")
    assert not confidential("http://127.0.0.1.evil.example")
    assert not confidential("ftp://localhost")


@given(
    st.dictionaries(
        st.sampled_from(["resource", "authorization_servers", "scopes_supported"]),
        st.one_of(
            st.none(), st.text(max_size=20), st.lists(st.text(max_size=5), max_size=3), st.integers(), st.booleans()
        ),
    )
)
def test_metadata_of_any_shape_are_read_or_refused(found):
    try:
        read = read_resource(found, "https://a.example/mcp")
    except AuthorizationUntrusted:
        return
    assert covers(read.resource, "https://a.example/mcp")
