import gzip
import shutil
import ssl
import subprocess
import zlib

import anyio
import anyio.streams.tls
import httpx
import pytest

from protocol_docs import SourceRefused, SourceTooLarge, SourceUnreachable
from protocol_docs.fetch import GuardedFetcher

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.215.14"


class Names:
    """A resolver over a dict; counts what it is asked, and answers a list in turn where there is one of lists."""

    def __init__(self, **names):
        self.names = {name.replace("_", "."): answer for name, answer in names.items()}
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append((host, port))
        if host not in self.names:
            return [host.strip("[]")]
        answer = self.names[host]
        if answer is None:
            raise OSError("no such name")
        return answer.pop(0) if answer and isinstance(answer[0], list) else answer


class Recorder(httpx.AsyncBaseTransport):
    """Stands for the network: notes every request that would be sent, and answers from a script."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def handle_async_request(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else page(b"text")
        if isinstance(answer, Exception):
            raise answer
        return answer


def page(content, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))


def redirect(location, status=302):
    return httpx.Response(status, headers={"location": location})


def fetcher(network, names, **options):
    return GuardedFetcher(resolver=names, transport=network, **options)


async def test_the_connection_goes_to_the_checked_address_under_the_original_name():
    network, names = Recorder(page(b"a document\r\n")), Names(example_com=[PUBLIC])
    assert await fetcher(network, names).fetch("https://example.com:8443/a/b?c=d#e") == b"a document\r\n"
    (request,) = network.requests
    assert str(request.url) == f"https://{PUBLIC}:8443/a/b?c=d"
    assert request.headers["host"] == "example.com:8443"
    assert request.extensions["sni_hostname"] == "example.com"
    assert names.asked == [("example.com", 8443)]


async def test_a_request_carries_no_cookies_no_credentials_and_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    network = Recorder(redirect("https://example.com/b"), page(b""))
    network.answers[0].headers["set-cookie"] = "a=b"
    await fetcher(network, Names(example_com=[PUBLIC])).fetch("https://example.com/a")
    assert len(network.requests) == 2
    for request in network.requests:
        assert not {"cookie", "authorization", "referer"} & set(request.headers)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::1",
        "not an address",
    ],
)
async def test_a_name_with_a_refused_address_is_not_connected_to(address):
    network = Recorder()
    for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
        with pytest.raises(SourceRefused):
            await fetcher(network, Names(evil_example=answer)).fetch("http://evil.example/")
    assert network.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:8000/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://user:password@example.com/",
        "http://127.0.0.1#@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com:99999/",
        "http://example.com:port/",
        "http://[::1/",
        "http://exa mple.com/",
        "http://example.com/\r\nHost: 127.0.0.1",
        "http:///nothing",
        "http://",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "data:,text",
        "//example.com/",
        "",
    ],
)
async def test_addresses_in_every_disguise_are_not_connected_to(url):
    network, names = Recorder(), Names(example_com=[PUBLIC])
    with pytest.raises(SourceRefused):
        await fetcher(network, names).fetch(url)
    assert network.requests == []


async def test_a_name_is_resolved_once_so_that_a_second_answer_cannot_be_another():
    names = Names(evil_example=[[PUBLIC], ["127.0.0.1"]])
    network = Recorder()
    assert await fetcher(network, names).fetch("http://evil.example/") == b"text"
    assert [request.url.host for request in network.requests] == [PUBLIC]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://inside.example/",
        "http://169.254.169.254/",
        "//127.0.0.1/",
        "file:///etc/passwd",
        "http://2130706433/",
        "https://user@example.com/",
    ],
)
async def test_a_redirect_goes_through_the_same_checks(location):
    network = Recorder(redirect(location))
    names = Names(example_com=[PUBLIC], inside_example=["10.0.0.1"])
    with pytest.raises(SourceRefused):
        await fetcher(network, names).fetch("http://example.com/a")
    assert [request.url.host for request in network.requests] == [PUBLIC]


async def test_a_redirect_to_a_name_that_now_has_another_address_is_checked_anew():
    names = Names(evil_example=[[PUBLIC], ["127.0.0.1"]])
    network = Recorder(redirect("/again"))
    with pytest.raises(SourceRefused):
        await fetcher(network, names).fetch("http://evil.example/")
    assert len(network.requests) == 1


async def test_redirects_are_followed_three_times():
    names = Names(example_com=[PUBLIC])
    network = Recorder(redirect("/1", 301), redirect("https://example.com/2", 307), redirect("/3", 308))
    assert await fetcher(network, names).fetch("http://example.com/0") == b"text"
    assert [request.url.raw_path for request in network.requests] == [b"/0", b"/1", b"/2", b"/3"]
    network = Recorder(*[redirect("/again")] * 10)
    with pytest.raises(SourceRefused):
        await fetcher(network, names).fetch("http://example.com/0")
    assert len(network.requests) == 4


async def test_a_redirect_away_from_https_is_refused():
    network = Recorder(redirect("http://example.com/"))
    with pytest.raises(SourceRefused):
        await fetcher(network, Names(example_com=[PUBLIC])).fetch("https://example.com/")
    assert len(network.requests) == 1


async def test_loopback_and_private_addresses_are_an_explicit_choice():
    network = Recorder()
    assert await fetcher(network, Names(), allow=["loopback"]).fetch("http://127.0.0.1:8000/a") == b"text"
    assert await fetcher(network, Names(), allow=["loopback"]).fetch("http://[::1]:8000/a") == b"text"
    assert [str(request.url) for request in network.requests] == ["http://127.0.0.1:8000/a", "http://[::1]:8000/a"]
    assert network.requests[1].headers["host"] == "[::1]:8000"
    with pytest.raises(SourceRefused):
        await fetcher(network, Names(), allow=["loopback"]).fetch("http://10.0.0.1/")
    assert await fetcher(network, Names(), allow=["private", "100.64.0.0/10"]).fetch("http://100.64.0.1/") == b"text"


async def test_the_next_address_is_tried_where_the_first_does_not_connect():
    network = Recorder(httpx.ConnectError("refused"), page(b"second"))
    names = Names(example_com=["2606:4700::1111", PUBLIC])
    assert await fetcher(network, names).fetch("https://example.com/") == b"second"
    assert [request.url.host for request in network.requests] == ["2606:4700::1111", PUBLIC]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(500),
        httpx.Response(204),
        httpx.Response(302),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("late"),
        httpx.RemoteProtocolError("garbage"),
        httpx.ReadError("cut"),
        httpx.Response(200, headers={"content-encoding": "br"}, content=b""),
        page(b"x", content_encoding="gzip, gzip"),
        page(b"not gzip", content_encoding="gzip"),
        page(gzip.compress(b"x")[:-9], content_encoding="gzip"),
    ],
    ids=repr,
)
async def test_anything_but_a_whole_text_is_unreachable(answer):
    with pytest.raises(SourceUnreachable):
        await fetcher(Recorder(answer), Names(example_com=[PUBLIC])).fetch("http://example.com/")


@pytest.mark.parametrize("answer", [None, []])
async def test_a_name_without_an_address_is_unreachable(answer):
    network = Recorder()
    with pytest.raises(SourceUnreachable):
        await fetcher(network, Names(gone_example=answer)).fetch("http://gone.example/")
    assert network.requests == []


class Endless(httpx.AsyncByteStream):
    """A body that never ends; counts what was taken of it."""

    def __init__(self, chunk):
        self.chunk = chunk
        self.taken = 0

    async def __aiter__(self):
        while True:
            self.taken += len(self.chunk)
            yield self.chunk


async def test_an_endless_body_is_cut_at_the_limit():
    body = Endless(b"x" * 1000)
    network = Recorder(httpx.Response(200, stream=body))
    with pytest.raises(SourceTooLarge):
        await fetcher(network, Names(example_com=[PUBLIC]), max_bytes=10_000).fetch("http://example.com/")
    assert body.taken <= 12_000


async def test_a_body_that_announces_too_much_is_not_read():
    body = Endless(b"x")
    network = Recorder(httpx.Response(200, headers={"content-length": "10001"}, stream=body))
    with pytest.raises(SourceTooLarge):
        await fetcher(network, Names(example_com=[PUBLIC]), max_bytes=10_000).fetch("http://example.com/")
    assert body.taken == 0


async def test_a_small_body_that_inflates_past_the_limit_is_cut_while_it_swells(monkeypatch):
    swollen = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, **options):
            self.inner = real(**options)

        def decompress(self, data, limit):
            swollen.append(self.inner.decompress(data, limit))
            return swollen[-1]

        @property
        def eof(self):
            return self.inner.eof

    monkeypatch.setattr("protocol_docs.fetch.zlib.decompressobj", Watched)
    bomb = gzip.compress(b"\0" * 5_000_000)
    network = Recorder(httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(bomb)))
    with pytest.raises(SourceTooLarge):
        await fetcher(network, Names(example_com=[PUBLIC]), max_bytes=100_000).fetch("http://example.com/")
    assert sum(map(len, swollen)) == 100_001


async def test_a_compressed_text_within_the_limit_comes_out_whole():
    text = b"a protocol document\r\n" * 1000
    network = Recorder(page(gzip.compress(text), content_encoding="GZIP"))
    guarded = fetcher(network, Names(example_com=[PUBLIC]), max_bytes=len(text))
    assert await guarded.fetch("http://example.com/") == text


async def test_a_body_of_exactly_the_limit_is_taken():
    network = Recorder(page(b"x" * 100), page(b"x" * 101))
    guarded = fetcher(network, Names(example_com=[PUBLIC]), max_bytes=100)
    assert len(await guarded.fetch("http://example.com/")) == 100
    with pytest.raises(SourceTooLarge):
        await guarded.fetch("http://example.com/")


async def test_a_server_that_drips_is_left_at_the_deadline():
    class Dripping(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b"x"
            await anyio.sleep_forever()

    network = Recorder(httpx.Response(200, stream=Dripping()))
    with anyio.fail_after(5), pytest.raises(SourceUnreachable):
        await fetcher(network, Names(example_com=[PUBLIC]), seconds=0.01).fetch("http://example.com/")


async def test_a_resolver_that_hangs_is_left_at_the_deadline():
    async def hanging(host, port):
        await anyio.sleep_forever()

    network = Recorder()
    with anyio.fail_after(5), pytest.raises(SourceUnreachable):
        await fetcher(network, hanging, seconds=0.01).fetch("http://example.com/")
    assert network.requests == []


async def test_over_real_loopback_the_text_arrives_under_its_own_host():
    seen = []

    async def serve(stream):
        async with stream:
            seen.append(await stream.receive())
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\ntext\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        (port,) = {one.extra(anyio.abc.SocketAttribute.local_port) for one in listener.listeners}  # noqa: S610
        guarded = GuardedFetcher(allow=["loopback"], resolver=Names(documents_test=["127.0.0.1"]))
        assert await guarded.fetch(f"http://documents.test:{port}/a") == b"text\n"
        with pytest.raises(SourceRefused):
            await GuardedFetcher().fetch(f"http://127.0.0.1:{port}/a")
        group.cancel_scope.cancel()
    assert len(seen) == 1
    assert seen[0].startswith(b"GET /a HTTP/1.1\r\n")
    assert f"\r\nhost: documents.test:{port}\r\n".encode() in seen[0].lower()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of documents.test, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "certificate.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=documents.test"]
    command += ["-addext", "subjectAltName=DNS:documents.test", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.mark.parametrize("name", ["documents.test", "other.test"])
async def test_over_tls_the_certificate_must_be_of_the_name_and_not_of_the_address(certificate, name, monkeypatch):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def serve(stream):
        async with stream:
            try:
                wrapped = await anyio.streams.tls.TLSStream.wrap(stream, ssl_context=context, standard_compatible=False)
                await wrapped.receive()
                await wrapped.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\ntext\n")
            except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                pass

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        (port,) = {one.extra(anyio.abc.SocketAttribute.local_port) for one in listener.listeners}  # noqa: S610
        names = Names(documents_test=["127.0.0.1"], other_test=["127.0.0.1"])
        guarded = GuardedFetcher(allow=["loopback"], resolver=names)
        if name == "documents.test":
            assert await guarded.fetch(f"https://{name}:{port}/a") == b"text\n"
        else:
            with pytest.raises(SourceUnreachable):
                await guarded.fetch(f"https://{name}:{port}/a")
        group.cancel_scope.cancel()


# --- one exchange, of any status ---


def answered(status, content=b"", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


async def test_an_exchange_sends_what_it_is_given_to_the_checked_address():
    network, names = Recorder(answered(400, b'{"error":"x"}', content_type="application/json")), Names(a_test=[PUBLIC])
    answer = await fetcher(network, names).exchange(
        "POST", "https://a.test/token", headers={"content-type": "text/plain"}, body=b"a=b"
    )
    assert (answer.status, answer.body, answer.headers["content-type"]) == (400, b'{"error":"x"}', "application/json")
    (request,) = network.requests
    assert (request.method, request.headers["content-type"], request.content) == ("POST", "text/plain", b"a=b")
    assert str(request.url) == f"https://{PUBLIC}/token"


async def test_an_exchange_follows_no_redirect():
    network = Recorder(answered(302, location="http://127.0.0.1/"))
    answer = await fetcher(network, Names(a_test=[PUBLIC])).exchange("POST", "https://a.test/", body=b"secret")
    assert answer.status == 302
    assert len(network.requests) == 1


async def test_an_exchange_reaches_no_address_that_is_not_allowed():
    network = Recorder()
    with pytest.raises(SourceRefused):
        await fetcher(network, Names(a_test=["10.0.0.1"])).exchange("POST", "https://a.test/", body=b"secret")
    assert network.requests == []


async def test_an_exchange_reads_no_more_than_the_limit_of_an_answer_of_any_status():
    network = Recorder(answered(500, b"x" * 20))
    with pytest.raises(SourceTooLarge):
        await fetcher(network, Names(a_test=[PUBLIC]), max_bytes=10).exchange("GET", "https://a.test/")
