"""What an agent answers to `anp.get_capabilities`, `anp.negotiate` and business calls."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from negotiator.anp.origin import prove
from negotiator.dialects.anp.artifact import write_artifact
from negotiator.dialects.anp.binding import Target
from negotiator.dialects.anp.negotiating import digest_of
from negotiator.dialects.anp.words import PROFILES
from negotiator.identity import Authority, Identity, TrustPolicy
from negotiator.identity.did import read_document
from negotiator.models.scripted import ScriptedModel
from protocol_docs import draft_document
from tests.negotiator.anp.anp_world import FORECAST, INTENT, TRAVEL, AnpWorld, Caller, code_of, core

pytestmark = pytest.mark.anyio

SOMEBODY = "did:wba:caller.example:e1_x"
CAPABILITIES = core("anp.get_capabilities", {})
BOOKING = {"intent": {"name": "book", "description": "Book a room"}}


@pytest.fixture
async def world() -> AsyncIterator[AnpWorld]:
    async with AnpWorld() as world:
        yield world


@pytest.fixture
def caller(world: AnpWorld) -> Caller:
    return Caller(world.hotel())


# --- the Core Binding ---


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"id": 1}, (1000, "anp.invalid_request_id")),
        ({"id": None}, (1000, "anp.invalid_request_id")),
        ({"id": ""}, (1000, "anp.invalid_request_id")),
        ({"params": []}, (1003, "anp.invalid_params_shape")),
        ({"params": {"body": {}}}, (1003, "anp.invalid_params_shape")),
        ({"params": {**CAPABILITIES["params"], "more": 1}}, (1003, "anp.invalid_params_shape")),
        ({"params": {**CAPABILITIES["params"], "auth": {"token": 1}}}, (1003, "anp.invalid_params_shape")),
        ({"jsonrpc": "1.0"}, (-32600, "")),
        ({"method": "rpc.discover"}, (-32600, "")),
        ({"method": "anp.unheard_of"}, (-32601, "")),
    ],
)
async def test_a_request_that_is_none_of_the_binding_is_refused_by_its_number(
    caller: Caller, change: dict[str, Any], code: tuple[int, str]
) -> None:
    assert code_of(await caller.post({**CAPABILITIES, **change})) == code


async def test_batches_and_broken_json_are_refused(caller: Caller) -> None:
    assert code_of(await caller.post([CAPABILITIES])) == (1004, "anp.batch_not_supported")
    assert code_of(await caller.post(b"{"))[0] == -32700


@pytest.mark.parametrize("first", [0x00, 0x40, 0x80, 0xC0])
async def test_the_binary_meta_protocol_is_refused_by_the_name_of_the_current_one(caller: Caller, first: int) -> None:
    frame = bytes([first]) + orjson.dumps({"action": "protocolNegotiation", "sequenceId": 0})
    for sent in (frame, frame[1:]):
        answered = await caller.post(sent)
        assert code_of(answered) == (1001, "anp.unsupported_profile")
        assert "anp.meta.negotiation.v1" in answered["error"]["message"]
        assert answered["error"]["data"]["details"]["supported_profiles"] == ["anp.meta.negotiation.v1"]


@pytest.mark.parametrize("path", ["/anp", "/anp/rpc", "/anp/words"])
async def test_the_binary_meta_protocol_is_refused_wherever_it_comes(caller: Caller, path: str) -> None:
    assert code_of(await caller.post(b"\x00{}", path)) == (1001, "anp.unsupported_profile")


async def test_a_response_repeats_the_id_and_holds_a_result_or_an_error(caller: Caller) -> None:
    for message in ({**CAPABILITIES, "id": "mine"}, {**CAPABILITIES, "id": "mine", "method": "anp.unheard_of"}):
        answered = await caller.post(message)
        assert answered["id"] == "mine"
        assert ("result" in answered) != ("error" in answered)


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({"device": "x"}, 1003),
        ({"sender_device_id": "x"}, 1003),
        ({"trace_id": "x"}, 1003),
        ({"security_profile": "none"}, 1002),
        ({"security_profile": "direct-e2ee"}, 1002),
        ({"security_profile": "group-e2ee"}, 1002),
        ({"profile": "anp.meta.negotiation.v1"}, 1001),
        ({"content_type": "text/plain"}, 1009),
        ({"created_at": "yesterday"}, 1003),
        ({"target": {"kind": "device", "did": "did:x:y"}}, 1014),
        ({"target": {"kind": "agent", "did": "https://x"}}, 1014),
        ({"target": {"kind": "agent", "did": "did:wba:other.example"}}, 1007),
    ],
)
async def test_what_a_request_says_of_itself_is_held_against_the_profile(
    caller: Caller, meta: dict[str, Any], code: int
) -> None:
    assert code_of(await caller.post(core("anp.get_capabilities", {}, **meta)))[0] == code


async def test_extensions_of_meta_and_the_old_version_hint_change_nothing(caller: Caller) -> None:
    answered = await caller.post(core("anp.get_capabilities", {}, x_trace="1", anp_version="9"))
    assert answered["result"]["service_did"] == caller.did


async def test_anybody_is_told_what_is_spoken_here(caller: Caller) -> None:
    told = (await caller.post(CAPABILITIES))["result"]
    assert told["service_did"] == caller.did
    assert told["supported_profiles"] == list(PROFILES)
    assert told["supported_security_profiles"] == ["transport-protected"]
    assert told["supported_content_types"] == ["application/json"]
    assert told["limits"] == {"max_request_bytes": "1048576"}


async def test_an_agent_without_an_identity_negotiates_with_nobody(world: AnpWorld) -> None:
    agent = world.agent("plain")
    handler = agent.handler()
    from negotiator.wire import WireRequest

    reply = orjson.loads((await handler(WireRequest(path="/anp", body=orjson.dumps(CAPABILITIES)))).body)
    assert code_of(reply)[0] == -32601
    described = orjson.loads((await handler(WireRequest(method="GET", path="/anp/ad.json"))).body)
    assert "did" not in described
    assert "MetaProtocolInterface" not in [each["type"] for each in described["interfaces"]]


async def test_an_agent_of_plain_http_negotiates_with_nobody(world: AnpWorld) -> None:
    caller = Caller(world.hotel(url="http://hotel.example"))
    assert code_of(await caller.post(CAPABILITIES))[0] == -32601
    assert "did" not in await caller.get("/anp/ad.json")
    near = Caller(world.hotel(url="http://localhost:8000"))
    assert "result" in await near.post(CAPABILITIES)


async def test_no_log_line_holds_what_was_negotiated(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    secret = "4111 1111 1111 1111"
    body = {
        "intent": {**INTENT["intent"], "description": f"Weather forecast {secret}", "inputSummary": {"card": secret}}
    }
    assert "result" in await caller.negotiate(body)
    await caller.negotiate({**body, "mode": "dictation"})
    assert secret not in caplog.text


# --- what is shown ---


async def test_the_domains_page_and_the_description_lead_to_everything(caller: Caller) -> None:
    page = await caller.get("/.well-known/agent-descriptions")
    assert page["@type"] == "CollectionPage"
    assert page["items"][0]["@type"] == "ad:AgentDescription"
    assert page["items"][0]["@id"] == "https://hotel.example/anp/ad.json"
    described = await caller.get("/anp/ad.json")
    for member in ("protocolType", "protocolVersion", "type", "name", "securityDefinitions", "security"):
        assert described[member]
    assert described["security"] in described["securityDefinitions"]
    meta = next(each for each in described["interfaces"] if each["type"] == "MetaProtocolInterface")
    assert (meta["profile"], meta["binding"]) == ("anp.meta.negotiation.v1", "jsonrpc-2.0")
    assert meta["methods"] == ["anp.get_capabilities", "anp.negotiate"]
    assert {"id", "protocol", "version", "url", "securityProfiles", "negotiates", "description"} <= meta.keys()
    interface = await caller.get("/anp/interface.json")
    assert interface["openrpc"] == "1.3.2"
    assert [each["name"] for each in interface["methods"]] == ["forecast", "book"]


async def test_the_description_is_proved_by_the_identity_for_its_domain(world: AnpWorld, caller: Caller) -> None:
    from negotiator.identity import proofs

    described = await caller.get("/anp/ad.json")
    document = read_document(await caller.agent.identity.document(), caller.did)  # type: ignore[union-attr]
    assert described["proof"]["domain"] == "hotel.example"
    assert described["proof"]["challenge"]
    key = document.keys[described["proof"]["verificationMethod"]]
    assert proofs.holds(described, key)
    assert not proofs.holds({**described, "name": "another"}, key)


async def test_the_did_document_has_the_endpoint(caller: Caller) -> None:
    document = read_document(await caller.agent.identity.document(), caller.did)  # type: ignore[union-attr]
    service = next(each for each in document.services if each.type == "ANPMessageService")
    assert (service.endpoint, service.service_did) == ("https://hotel.example/anp", caller.did)


async def test_what_is_published_to_nobody_is_not_described(world: AnpWorld) -> None:
    caller = Caller(world.hotel(publish="none"))
    described = await caller.get("/anp/ad.json")
    assert [each["type"] for each in described["interfaces"]] == ["MetaProtocolInterface"]
    assert (await caller.get("/anp/interface.json"))["methods"] == []


# --- negotiating ---


async def test_a_structured_call_with_an_artifact_is_selected(caller: Caller) -> None:
    result = (await caller.negotiate({**INTENT, "negotiation_id": "n-1"}))["result"]
    assert (result["negotiationId"], result["status"]) == ("n-1", "accepted")
    selected = result["selected"]
    assert (selected["capability"], selected["interface"]) == ("cap.forecast", "interface.tools")
    assert (selected["securityProfile"], selected["contentType"]) == ("transport-protected", "application/json")
    assert result["execution"]["mode"] == "direct_structured_call"
    path = selected["protocolArtifact"].removeprefix("https://hotel.example")
    artifact = await caller.get(path)
    assert artifact["digest"] == path.rpartition("/")[2]
    for half in ("request", "response"):
        uri = result["schemas"][f"{half}Schema"].removeprefix("https://hotel.example")
        assert await caller.get(uri) == artifact["methods"][0][f"{half}_schema"]
    answered = await caller.post(
        {"jsonrpc": "2.0", "id": "1", "method": artifact["methods"][0]["name"], "params": {"city": "Rome", "day": "x"}},
        "/anp/rpc",
    )
    assert answered["result"] == {"high": 4, "sky": "blue"}


async def test_the_results_digest_is_of_all_that_it_says(caller: Caller) -> None:
    result = (await caller.negotiate())["result"]
    digest = result.pop("negotiationDigest")
    assert digest == digest_of(result)
    assert digest.startswith("sha-256:")
    assert digest != digest_of({**result, "validUntil": "2099-01-01T00:00:00Z"})


async def test_a_result_says_until_when_it_holds(world: AnpWorld, caller: Caller) -> None:
    from negotiator.dialects.anp.binding import moment

    result = (await caller.negotiate())["result"]
    until = moment(result["validUntil"])
    assert until is not None
    assert world.clock.time() < until <= world.clock.time() + 86_401


async def test_without_a_negotiation_id_the_requests_id_names_the_result(caller: Caller) -> None:
    assert (await caller.negotiate())["result"]["negotiationId"] == "r-1"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 1003),
        ({"intent": "forecast"}, 1003),
        ({**INTENT, "unheard_of": 1}, 1003),
        ({"intent": {}}, 1606),
        ({**INTENT, "mode": "dictation"}, 1602),
        ({**INTENT, "mode": "natural_language_protocol_drafting"}, 1602),
        ({"intent": {"name": "zzz", "description": "qqq", "intentTags": ["effect.safe"]}}, 1601),
        ({**INTENT, "requiredCapabilities": ["cap.unheard_of"]}, 1601),
        ({**INTENT, "candidateInterfaceRefs": ["interface.unheard_of"]}, 1601),
        ({**INTENT, "constraints": {"onTheMoon": True}}, 1601),
        ({**INTENT, "candidateProtocols": ["anp.unheard.of.v1"]}, 1603),
        ({**INTENT, "constraints": {"requiredSecurityProfile": "direct-e2ee"}}, 1604),
        ({**INTENT, "callerCapabilities": {"supportedSecurityProfiles": ["direct-e2ee"]}}, 1604),
        ({**INTENT, "callerCapabilities": {"supportedContentTypes": ["text/plain"]}}, 1605),
        ({**INTENT, "constraints": {"preferredContentTypes": ["text/plain"]}}, 1605),
        ({**INTENT, "callerCapabilities": {"supportedProfiles": ["anp.direct.base.v1"]}}, 1601),
        ({**INTENT, "callerCapabilities": {"supportedExecutionModes": ["stream"]}}, 1601),
    ],
)
async def test_what_cannot_be_met_is_an_error_that_says_which(caller: Caller, body: dict[str, Any], code: int) -> None:
    answered = await caller.negotiate(body)
    found, word = code_of(answered)
    assert found == code
    assert word.startswith("meta." if code >= 1600 else "anp.")
    assert answered["error"]["data"]["retryable"] is False


async def test_a_required_security_profile_is_never_silently_weaker(caller: Caller) -> None:
    body = {**INTENT, "constraints": {"requiredSecurityProfile": "direct-e2ee", "allowNaturalLanguageFallback": True}}
    answered = await caller.negotiate(body)
    assert code_of(answered) == (1604, "meta.unsupported_security_profile")
    assert answered["error"]["data"]["details"]["unsupportedConstraints"] == ["requiredSecurityProfile"]
    answered = await caller.negotiate(INTENT, security_profile="direct-e2ee")
    assert code_of(answered) == (1002, "anp.unsupported_security_profile")


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({"target": None}, 1014),
        ({"target": {"kind": "service", "did": ""}}, 1014),
        ({"operation_id": None}, 1003),
        ({"profile": "anp.core.binding.v1"}, 1001),
    ],
)
async def test_a_negotiation_says_with_whom_and_which_it_is(caller: Caller, meta: dict[str, Any], code: int) -> None:
    if (target := meta.get("target")) is not None:
        target["did"] = caller.did
    said = {"target": {"kind": "agent", "did": caller.did}, "operation_id": "op", **meta}
    assert code_of(await caller.post(core("anp.negotiate", INTENT, **said)))[0] == code


async def test_a_request_that_was_made_long_ago_has_expired(world: AnpWorld, caller: Caller) -> None:
    from negotiator.dialects.anp.negotiating import at

    old, fresh = at(world.clock.time() - 3600), at(world.clock.time())
    assert code_of(await caller.negotiate(INTENT, created_at=old)) == (1608, "meta.negotiation_expired")
    assert (await caller.negotiate(INTENT, created_at=fresh))["result"]["status"] == "accepted"


async def test_the_same_operation_gets_the_same_result_and_another_under_its_id_a_conflict(
    world: AnpWorld, caller: Caller
) -> None:
    from negotiator.dialects.anp.negotiating import at

    made = at(world.clock.time())
    first = await caller.negotiate(operation="op", created_at=made)
    world.clock.advance(3600)
    # The record is looked at before the request's age is.
    assert await caller.negotiate(operation="op", created_at=made) == first
    assert code_of(await caller.negotiate(BOOKING, operation="op")) == (1008, "anp.idempotency_conflict")
    other = Caller(caller.agent, "host:somebody")
    assert "result" in await other.negotiate(INTENT, operation="op", sender_did=None)


async def test_two_at_once_of_one_operation_are_one_negotiation(caller: Caller) -> None:
    first, second = await asyncio.gather(caller.negotiate(operation="op"), caller.negotiate(operation="op"))
    assert first == second


async def test_operations_that_strangers_name_take_no_room_of_replies(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("negotiator.replies._PURGE_EVERY", 1)
    monkeypatch.setattr("negotiator.anp.server.MAX_OPERATIONS", 4)
    caller = Caller(caller.agent)
    for number in range(12):
        assert "result" in await caller.negotiate(operation=f"op-{number}")
    store = caller.agent.engine.text
    assert list(store.keys("replies/")) == []
    assert 0 < sum(1 for _ in store.keys("anp/operation/")) <= 6


# --- who asks ---


async def test_a_sender_that_is_named_and_not_proved_is_asked_for_its_proof(caller: Caller) -> None:
    answered = await caller.negotiate(INTENT, sender_did=SOMEBODY)
    assert code_of(answered) == (1607, "meta.authorization_required")


async def test_a_sender_that_signed_the_request_is_proved(world: AnpWorld) -> None:
    caller = Caller(world.hotel(), SOMEBODY)
    assert (await caller.negotiate())["result"]["status"] == "accepted"
    assert code_of(await caller.negotiate(INTENT, sender_did="did:wba:other.example"))[0] == 1607


async def test_an_origin_proof_stands_for_a_signature(world: AnpWorld, caller: Caller) -> None:
    traveller = world.traveller()
    assert traveller.identity is not None
    identity: Identity = traveller.identity
    target = Target("agent", caller.did)
    message = core(
        "anp.negotiate",
        BOOKING,
        sender_did=identity.did,
        target={"kind": "agent", "did": caller.did},
        operation_id="op",
    )
    signed = {"method": "anp.negotiate", "meta": message["params"]["meta"], "body": BOOKING}
    auth = await prove(identity, signed, target, nonce="n-1", clock=world.clock)
    message["params"]["auth"] = auth
    assert (await caller.post(message))["result"]["selected"]["capability"] == "cap.book"
    assert code_of(await caller.post(message)) == (1005, "anp.unauthorized")  # once


@pytest.mark.parametrize("also", [(), ("did:wba:travel.example*",)])
async def test_whoever_is_heard_carries_in_nobody_who_is_not(world: AnpWorld, also: tuple[str, ...]) -> None:
    hotel = world.hotel(trust=TrustPolicy(callers="listed", listed=(SOMEBODY, *also)))
    carrier, identity = Caller(hotel, SOMEBODY), world.traveller().identity
    assert identity is not None
    meta = {"sender_did": identity.did, "target": {"kind": "agent", "did": carrier.did}, "operation_id": "op"}
    message = core("anp.negotiate", BOOKING, **meta)
    signed = {"method": "anp.negotiate", "meta": message["params"]["meta"], "body": BOOKING}
    message["params"]["auth"] = await prove(
        identity, signed, Target("agent", carrier.did), nonce="n-1", clock=world.clock
    )
    answered = await carrier.post(message)
    if also:
        assert answered["result"]["status"] == "accepted"
    else:
        assert code_of(answered) == (1005, "anp.unauthorized")
        assert hotel.engine.agreements.served(hotel.engine.toolset) == []


@pytest.mark.parametrize("member", ["scheme", "origin_proof", "body", "target", "field"])
async def test_an_origin_proof_of_something_else_is_refused(world: AnpWorld, caller: Caller, member: str) -> None:
    identity = world.traveller().identity
    assert identity is not None
    meta = {"sender_did": identity.did, "target": {"kind": "agent", "did": caller.did}, "operation_id": "op"}
    message = core("anp.negotiate", INTENT, **meta)
    signed = {"method": "anp.negotiate", "meta": message["params"]["meta"], "body": INTENT}
    wrong = Target("service", caller.did) if member == "target" else Target("agent", caller.did)
    auth = await prove(identity, signed, wrong, nonce="n-1", clock=world.clock)
    if member == "body":
        message["params"]["body"] = BOOKING
    elif member == "scheme":
        auth["scheme"] = "another"
    elif member == "origin_proof":
        auth = {"scheme": auth["scheme"]}
    elif member == "field":
        auth["origin_proof"]["type"] = "x"
    message["params"]["auth"] = auth
    assert code_of(await caller.post(message)) == (1005, "anp.unauthorized")


async def test_nothing_is_agreed_on_that_the_caller_may_not_use(world: AnpWorld, caller: Caller) -> None:
    assert code_of(await caller.negotiate(BOOKING)) == (1607, "meta.authorization_required")
    assert caller.agent.engine.agreements.served(caller.agent.engine.toolset) == []
    few = Caller(world.hotel(url="https://few.example", authority=Authority(())), SOMEBODY)
    assert code_of(await few.negotiate(BOOKING)) == (1006, "anp.forbidden")


async def test_a_result_allows_nothing(world: AnpWorld) -> None:
    named = Caller(world.hotel(), SOMEBODY)
    result = (await named.negotiate(BOOKING))["result"]
    assert result["status"] == "accepted"
    method = "document." + next(iter(named.agent.engine.agreements.served(named.agent.engine.toolset)))[7:]
    named.principal = "anonymous"
    call = {"jsonrpc": "2.0", "id": "1", "method": method, "params": {"room": "12"}}
    assert code_of(await named.post(call, "/anp/rpc")) == (1005, "anp.unauthorized")
    assert world.called == []


@pytest.mark.parametrize("expected", [True, False])
async def test_human_authorization_is_handed_on_as_it_came(caller: Caller, expected: bool) -> None:
    body = {**INTENT, "constraints": {"requiresHumanAuthorization": expected}}
    result = (await caller.negotiate(body))["result"]
    assert result["execution"]["requiresHumanAuthorization"] is expected


# --- candidates, drafts, words ---


async def test_a_required_capability_decides_among_the_tools(world: AnpWorld) -> None:
    caller = Caller(world.hotel(), SOMEBODY)
    body = {"intent": {"description": "anything"}, "requiredCapabilities": ["cap.book"]}
    assert (await caller.negotiate(body))["result"]["selected"]["capability"] == "cap.book"


async def test_a_digest_among_the_candidates_is_agreed_to(caller: Caller) -> None:
    first = (await caller.negotiate())["result"]["selected"]["protocolArtifact"]
    for candidate in (first, first.rpartition("/")[2]):
        body = {"intent": {"description": "as before"}, "candidateProtocols": [candidate]}
        assert (await caller.negotiate(body))["result"]["selected"]["protocolArtifact"] == first


def proposed(**changed: Any) -> dict[str, Any]:
    document = draft_document(
        name="forecast",
        description="Weather forecast for a city and a day",
        request_schema=FORECAST.input.json_schema,
        reply_schema=FORECAST.output.json_schema,
        effect="safe",
    )
    return {**write_artifact(document, TRAVEL), **changed}


async def test_an_artifact_among_the_candidates_that_a_tool_serves_is_agreed_to(caller: Caller) -> None:
    artifact = proposed()
    body = {**INTENT, "candidateProtocols": [artifact]}
    assert (await caller.negotiate(body))["result"]["selected"]["protocolArtifact"].endswith(artifact["digest"])


async def test_an_unsafe_or_broken_artifact_among_the_candidates_is_refused(caller: Caller) -> None:
    for artifact in (proposed(digest="sha-256:" + "A" * 43), proposed(code="import os")):
        answered = await caller.negotiate({**INTENT, "candidateProtocols": [artifact]})
        assert code_of(answered) == (1600, "meta.negotiation_rejected")


async def test_a_draft_is_agreed_to_only_by_naming_its_digest(caller: Caller) -> None:
    engine = caller.agent.engine
    body = {
        **INTENT,
        "mode": "natural_language_protocol_drafting",
        "constraints": {"allowNaturalLanguageFallback": True},
    }
    draft = (await caller.negotiate(body))["result"]
    assert draft["status"] == "needs_more_information"
    assert draft["execution"]["mode"] == "natural_language_protocol_drafting"
    assert "selected" not in draft
    assert engine.agreements.served(engine.toolset) == []
    [alternative] = draft["alternatives"]
    artifact = await caller.get(alternative["protocolArtifact"].removeprefix("https://hotel.example"))
    assert artifact["methods"][0]["request_schema"]
    assert artifact["examples"]
    assert artifact["tests"]
    agreed = (await caller.negotiate({**INTENT, "candidateProtocols": [alternative["digest"]]}))["result"]
    assert agreed["selected"]["protocolArtifact"] == alternative["protocolArtifact"]
    assert len(engine.agreements.served(engine.toolset)) == 1


def worded(world: AnpWorld) -> Caller:
    model = ScriptedModel([])
    return Caller(world.hotel(model), SOMEBODY)


NOTHING = {"intent": {"name": "zzz", "description": "qqq", "intentTags": ["effect.safe"]}}


async def test_natural_language_is_the_fallback_only_where_the_caller_allows_it(world: AnpWorld) -> None:
    caller = worded(world)
    body = {**INTENT, "candidateInterfaceRefs": ["interface.words"]}
    assert code_of(await caller.negotiate(body)) == (1601, "meta.no_matching_interface")
    allowed = {**body, "constraints": {"allowNaturalLanguageFallback": True}}
    result = (await caller.negotiate(allowed))["result"]
    assert (result["execution"]["mode"], result["selected"]["interface"]) == ("natural_language", "interface.words")
    words = await caller.get(result["selected"]["url"].removeprefix("https://hotel.example"))
    assert [each["name"] for each in words["methods"]] == ["ask"]


async def test_natural_language_that_nobody_reads_here_is_not_offered(caller: Caller) -> None:
    body = {
        **INTENT,
        "candidateInterfaceRefs": ["interface.words"],
        "constraints": {"allowNaturalLanguageFallback": True},
    }
    assert code_of(await caller.negotiate(body)) == (1601, "meta.no_matching_interface")
    assert await caller.get("/anp/words.json") == 404
    call = {"jsonrpc": "2.0", "id": "1", "method": "ask", "params": {"request": "x"}}
    assert code_of(await caller.post(call, "/anp/words"))[0] == -32601


# --- business calls ---


def call(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "c-1", "method": method, "params": params}


async def test_a_tool_is_called_by_its_name(world: AnpWorld, caller: Caller) -> None:
    reply = await caller.send(call("forecast", city="Rome", day="x"), "/anp/rpc")
    assert orjson.loads(reply.body) == {"jsonrpc": "2.0", "id": "c-1", "result": {"high": 4, "sky": "blue"}}
    assert reply.headers["x-anp-tier"] == "routine"
    assert world.called == [("forecast", "Rome", "x")]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (call("forecast", city="Rome"), (-32602, "")),
        (call("unheard_of"), (-32601, "")),
        (call("anp.negotiate"), (-32601, "")),
        (call("document.zz"), (-32601, "")),
        (call("document." + "0" * 64), (1601, "meta.no_matching_interface")),
        (call("book", room="1"), (1005, "anp.unauthorized")),
        ({**call("forecast"), "id": 7}, (1000, "anp.invalid_request_id")),
    ],
)
async def test_what_cannot_be_called_is_an_error_that_says_why(
    world: AnpWorld, caller: Caller, message: dict[str, Any], code: tuple[int, str]
) -> None:
    assert code_of(await caller.post(message, "/anp/rpc")) == code
    assert world.called == []


async def test_a_transactional_call_that_comes_again_is_made_once(world: AnpWorld) -> None:
    caller = Caller(world.hotel(), SOMEBODY)
    replies = [await caller.post(call("book", room="1"), "/anp/rpc", **{"idempotency-key": "k"}) for _ in range(2)]
    assert replies[0] == replies[1]
    assert world.called == [("book", "1")]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/anp/nothing", "GET", 404),
        ("/anp", "GET", 405),
        ("/anp/ad.json", "POST", 405),
        ("/anp/artifacts/x", "GET", 404),
    ],
)
async def test_other_paths_and_methods_are_refused(caller: Caller, path: str, method: str, status: int) -> None:
    from negotiator.wire import WireRequest

    assert (await caller.handler(WireRequest(method=method, path=path))).status == status


async def test_a_message_that_is_too_large_is_refused(caller: Caller) -> None:
    assert (await caller.send(b" " * 1_048_577)).status == 413
