"""Keys: their forms, the signer's port, and the folder that they are kept in."""

import base64
import hashlib
import json
import math
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import MissingExtra, UsageError
from negotiator.identity import jcs
from negotiator.identity.did import parse_did
from negotiator.identity.ed25519 import PrivateKey, PublicKey, from_base58, from_base64url, to_base58, to_base64url
from negotiator.identity.errors import IdentityUnusable
from negotiator.identity.identity import Identity
from negotiator.identity.key_files import KeyFiles
from negotiator.identity.signer import MemorySigner, check_signer

pytestmark = pytest.mark.anyio
URL = "https://weather.example/agents"

NUMBERS = [
    # RFC 8785, appendix B.
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("41b3de4355555555", "333333333.3333333"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
]


# --- forms ---


def test_a_thumbprint_is_that_of_rfc_8037() -> None:
    key = PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_signature_is_that_of_rfc_8032() -> None:
    # Section 7.1, test 2.
    seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    der = bytes.fromhex("302e020100300506032b657004220420" + seed)
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(der) + b"\n-----END PRIVATE KEY-----\n"
    key = PrivateKey.from_pem(pem)
    assert key.public.raw.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = key.sign(b"\x72")
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
    assert key.public.verify(signature, b"\x72")
    assert not key.public.verify(signature, b"\x73")


def test_a_private_key_does_not_show_in_its_text_form() -> None:
    key = PrivateKey.generate()
    secret = key.to_pem().split(b"\n")[1].decode()
    assert secret not in repr(key)
    assert key.public.multibase in repr(key)


@given(st.binary(max_size=80))
def test_base58_and_base64url_come_back(data: bytes) -> None:
    assert from_base58(to_base58(data)) == data
    assert from_base64url(to_base64url(data)) == data


@given(st.binary(min_size=32, max_size=32))
def test_a_public_key_comes_back_from_its_forms(raw: bytes) -> None:
    key = PublicKey(raw)
    assert PublicKey.from_multibase(key.multibase) == key
    assert PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": to_base64url(raw)}) == key
    assert len(key.thumbprint) == 43


@pytest.mark.parametrize("text", ["", "z", "z6Mk", "x6MkgQ", "z0OIl", "z" + "1" * 500])
def test_what_is_no_multikey_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        PublicKey.from_multibase(text)


def test_base64url_has_one_spelling() -> None:
    with pytest.raises(ValueError, match="base64url"):
        from_base64url("AB")  # the last four bits are not zero


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_rfc_8785_lists_them(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert jcs.canonicalize(value) == text.encode()


def test_members_are_sorted_as_rfc_8785_shows() -> None:
    # Section 3.2.3: by UTF-16 code units, so that the emoji stands before the Hebrew letter.
    given = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}
    order = ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(jcs.canonicalize(given))) == order


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    assert float(jcs.canonicalize(value)) == value


@pytest.mark.parametrize("value", [2**53 + 1, math.nan, math.inf, "\ud800"])
def test_what_readers_would_not_agree_on_is_not_written(value: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        jcs.canonicalize(value)


# --- the port ---


async def test_keys_in_memory_and_in_files_do_what_the_port_says(tmp_path: Path) -> None:
    await check_signer(MemorySigner())
    await check_signer(KeyFiles.new(tmp_path / "id", URL))


async def test_a_signer_with_revoked_and_retired_keys_still_conforms(tmp_path: Path) -> None:
    files = KeyFiles.new(tmp_path / "id", URL, method="web")
    files.rotate()
    files.revoke("key-1")
    await check_signer(files)
    memory = MemorySigner()
    memory.rotate()
    memory.revoke("key-1")
    await check_signer(memory)


# --- files ---


def test_what_is_written_is_closed_to_others(tmp_path: Path) -> None:
    KeyFiles.new(tmp_path / "id", URL)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "id").iterdir()}
    assert modes == {"identity.json": 0o600, "key-1.pem": 0o600}
    assert stat.S_IMODE((tmp_path / "id").stat().st_mode) == 0o700


def test_the_did_is_bound_to_the_key(tmp_path: Path) -> None:
    files = KeyFiles.new(tmp_path / "id", URL)
    (key,) = files.all_keys()
    assert parse_did(files.did).bound_to == key.public.thumbprint
    assert files.did.startswith("did:wba:weather.example:agents:e1_")


def test_an_identity_is_not_overwritten(tmp_path: Path) -> None:
    before = KeyFiles.new(tmp_path / "id", URL).did
    with pytest.raises(UsageError, match="already"):
        KeyFiles.new(tmp_path / "id", URL)
    assert KeyFiles(tmp_path / "id").did == before


async def test_a_rotation_is_in_force_at_once_for_whoever_has_the_folder_open(tmp_path: Path) -> None:
    files = KeyFiles.new(tmp_path / "id", URL)
    elsewhere = KeyFiles(tmp_path / "id")
    await elsewhere.sign("key-1", b"warm")
    assert files.rotate() == "key-2"
    assert [(key.name, key.state) for key in elsewhere.all_keys()] == [("key-1", "retired"), ("key-2", "active")]
    assert elsewhere.all_keys()[1].public.verify(await elsewhere.sign("key-2", b"x"), b"x")


async def test_a_revoked_key_signs_nothing_anywhere_and_its_file_is_gone(tmp_path: Path) -> None:
    files = KeyFiles.new(tmp_path / "id", URL, method="web")
    elsewhere = KeyFiles(tmp_path / "id")
    await elsewhere.sign("key-1", b"warm")
    files.rotate()
    files.revoke("key-1")
    with pytest.raises(IdentityUnusable):
        await elsewhere.sign("key-1", b"x")
    assert not (tmp_path / "id" / "key-1.pem").exists()


def test_the_only_key_in_force_is_not_revoked(tmp_path: Path) -> None:
    files = KeyFiles.new(tmp_path / "id", URL, method="web")
    with pytest.raises(IdentityUnusable, match="rotate first"):
        files.revoke("key-1")


def test_the_key_that_a_did_is_bound_to_is_not_revoked(tmp_path: Path) -> None:
    files = KeyFiles.new(tmp_path / "id", URL)
    files.rotate()
    with pytest.raises(UsageError, match="new identity"):
        files.revoke("key-1")


@pytest.mark.parametrize("name", ["identity.json", "key-1.pem"])
async def test_a_file_that_others_can_read_is_not_used(tmp_path: Path, name: str) -> None:
    KeyFiles.new(tmp_path / "id", URL)
    (tmp_path / "id" / name).chmod(0o644)
    with pytest.raises(IdentityUnusable, match="chmod 600"):
        await KeyFiles(tmp_path / "id").sign("key-1", b"x")


async def test_a_key_that_was_put_in_anothers_place_is_not_used(tmp_path: Path) -> None:
    KeyFiles.new(tmp_path / "id", URL)
    (tmp_path / "id" / "key-1.pem").write_bytes(PrivateKey.generate().to_pem())
    with pytest.raises(IdentityUnusable, match="another key"):
        await KeyFiles(tmp_path / "id").sign("key-1", b"x")


def test_two_rotations_at_once_do_not_take_one_name(tmp_path: Path) -> None:
    files = KeyFiles.new(tmp_path / "id", URL)
    (tmp_path / "id" / "key-2.pem").write_bytes(b"")
    with pytest.raises(IdentityUnusable, match="another process"):
        files.rotate()
    assert [key.state for key in files.all_keys()] == ["active"]


def test_a_record_of_something_else_is_said_to_be_that(tmp_path: Path) -> None:
    KeyFiles.new(tmp_path / "id", URL)
    (tmp_path / "id" / "identity.json").write_text('{"v": 1}')
    with pytest.raises(IdentityUnusable, match="not as it was written"):
        KeyFiles(tmp_path / "id")


def test_importing_identity_loads_no_cryptography() -> None:
    program = (
        "import sys, negotiator.identity, negotiator.identity.did, negotiator.identity.key_files;"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_the_thumbprint_is_of_the_canonical_key() -> None:
    key = PublicKey(bytes(range(32)))
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": to_base64url(key.raw)}
    assert key.thumbprint == to_base64url(hashlib.sha256(jcs.canonicalize(jwk)).digest())


def test_without_the_extra_an_agent_is_told_so_before_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeyFiles.new(tmp_path / "id", URL)
    for name in [each for each in sys.modules if each.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtra, match=r"metaparley\[identity\]"):
        Identity.open(tmp_path / "id")
