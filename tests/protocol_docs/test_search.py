import pytest

from protocol_docs import ProtocolDocument, catalog, draft_document, render_document, search

WEATHER = draft_document(
    name="get_forecast",
    description="Weather forecast for a place and a date.",
    request_schema={"type": "object", "properties": {"cityName": {"type": "string"}, "day": {"type": "string"}}},
    reply_schema={"type": "object", "properties": {"items": {"items": {"properties": {"rain_probability": {}}}}}},
    effect="safe",
)
HOTEL = draft_document(
    name="BookHotel",
    description="Reserve a room in a hotel.",
    request_schema={"type": "object", "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}}},
    reply_schema={"type": "object", "properties": {"reference": {"type": "string"}}},
    effect="transactional",
)
KYOTO = render_document(
    name="\u5929\u6c17\u4e88\u5831", description="\u5929\u6c17\u3092\u8abf\u3079\u308b", body="\u672c\u6587", annex=None
)
TRAINS = render_document(
    name="\u6642\u523b\u8868", description="\u96fb\u8eca\u306e\u6642\u523b", body="\u672c\u6587", annex=None
)
RFC = ProtocolDocument.from_text(
    "Network Working Group\n\nThis memo specifies the User Datagram Protocol and its checksum.\n"
)
ALL = (WEATHER, HOTEL, KYOTO, TRAINS, RFC, *catalog.all_documents())


def found(query, limit=10):
    return [hit.document for hit in search(query, ALL, limit)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("forecast", WEATHER),
        ("weather in a city", WEATHER),
        ("FORECASTS", WEATHER),
        ("probability of rain", WEATHER),
        ("city name", WEATHER),
        ("book hotel", HOTEL),
        ("rooms", HOTEL),
        ("night", HOTEL),
        ("udp datagram checksum", RFC),
        ("\u5929\u6c17", KYOTO),
        ("\u4eca\u65e5\u306e\u5929\u6c17\u306f", KYOTO),
        ("\u6642\u523b", TRAINS),
        ("agree on a document", catalog.negotiation_dialogue()),
    ],
)
def test_the_document_that_is_meant_comes_first(query, first):
    assert found(query)[0] == first


def test_documents_without_any_of_the_words_are_left_out():
    assert found("hotel") == [HOTEL]
    assert found("zebra") == []
    assert found("") == []
    assert found("\u732b") == []


def test_a_name_counts_more_than_prose():
    named = render_document(name="Checksum", description="A sum.", body="Nothing.", annex=None)
    told = render_document(name="Transfer", description="A file.", body="It has a checksum.", annex=None)
    assert [hit.document for hit in search("checksum", [told, named])] == [named, told]


def test_hits_are_limited_ordered_and_the_same_again():
    hits = search("a city and a date of a document", ALL)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert search("a city and a date of a document", reversed(ALL)) == hits
    assert search("a city and a date of a document", ALL, limit=2) == hits[:2]


def test_no_documents_no_hits():
    assert search("anything", []) == []
