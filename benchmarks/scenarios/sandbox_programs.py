"""What the sandbox benchmark runs: our own programs and our own data."""

from typing import Any

ECHO = "def handle(data):\n    return data\n"
ECHO_DATA: dict[str, Any] = {"sku": "AB-100"}
TOOL = "def handle(data):\n    return price(data['sku'])\n"

TRANSFORM = """\
GRAMS = {"g": 1.0, "kg": 1000.0, "lb": 453.592}


def clean(text):
    return " ".join(text.split())


def contact(customer):
    email = customer.get("email")
    if not email or "@" not in email:
        return None
    user, host = email.split("@", 1)
    return {"user": user, "host": host.lower()}


def weight(item):
    factor = GRAMS.get(item["weight"]["unit"])
    if factor is None:
        raise ValueError("unknown unit " + item["weight"]["unit"])
    return round(item["weight"]["value"] * factor, 1)


def line(item, rate):
    net = round(item["price"] * item["quantity"], 2)
    return {
        "sku": item["sku"].upper(),
        "title": clean(item["title"]),
        "quantity": item["quantity"],
        "net": net,
        "tax": round(net * rate, 2),
        "grams": weight(item) * item["quantity"],
    }


def handle(data):
    rate = 0.2 if data["customer"].get("country") == "GB" else 0.0
    lines = [line(item, rate) for item in data["items"] if item["quantity"] > 0]
    by_sku = {}
    for each in lines:
        by_sku[each["sku"]] = by_sku.get(each["sku"], 0) + each["quantity"]
    return {
        "order": f"{data['shop']}-{data['number']:06d}",
        "customer": clean(data["customer"]["name"]),
        "contact": contact(data["customer"]),
        "lines": sorted(lines, key=lambda each: each["sku"]),
        "total": round(sum(each["net"] + each["tax"] for each in lines), 2),
        "grams": sum(each["grams"] for each in lines),
        "skus": sorted(by_sku),
    }
"""
"""Forty-odd lines of the sort that a model writes between two schemas."""

TRANSFORM_DATA: dict[str, Any] = {
    "shop": "north",
    "number": 20381,
    "note": None,
    "express": True,
    "customer": {"name": "  Ada   Byron ", "country": "GB", "email": "ada@example.org"},
    "items": [
        {
            "sku": f"ab-{100 + 7 * at}",
            "title": f" Widget  of kind {at} ",
            "quantity": at % 4,
            "price": 12.5 + at,
            "weight": {"value": 0.25 * (at + 1), "unit": ("g", "kg", "lb")[at % 3]},
        }
        for at in range(8)
    ],
}
"""About 1 KB of JSON."""

HANGS = {
    "loop": "def handle(data):\n    while True:\n        pass\n",
    "swallowing loop": (
        "def handle(data):\n    while True:\n        try:\n            while True:\n                data = 1 / 0\n"
        "        except:\n            continue\n"
    ),
    "inside one call": "def handle(data):\n    return sum(range(10 ** 15))\n",
}
"""Programs that never end of themselves."""
