"""What the rows of `negotiation` come to: shares with intervals, costs, and why what failed did. Pure."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.plots import bar_plot
from benchmarks.shares import share, shown
from negotiator.jsonvalue import JsonObject
from negotiator.models.prices import USD_PER_MILLION

REASONS: Final = {
    "planner_declined": "the asker's model took no listed document for its task",
    "no_tool": "the server said that nothing it offers does this",
    "wrong_tool": "the server offered another tool's document than that of the one that does it",
    "no_fit": "fields of the two sides were left without a counterpart",
    "no_code": "no function could be written that follows the document",
    "fails_on_examples": "the asker's routine failed on the document's examples",
    "cap": "a cap on rounds, tokens, money or time was reached",
    "model": "a model did not answer, or twice not what was asked",
    "peer": "a side said what the dialogue does not allow, or rejected the document",
    "asker_unverified": "one hash was agreed on, and the asker's routine did not get its verdict",
    "server_unverified": "one hash was agreed on, and the server's routine did not get its verdict",
    "wrong": "both routines were verified, and a held-out call was wrong or refused",
    "other": "none of these",
}
"""Why an agreement is none, or worth nothing: the first that applies."""


def reason(row: JsonObject) -> str | None:
    """The word of `REASONS` for a row; None where all is well."""
    if row["verified"]:
        return None if all(each["came_to"] == "right" for each in row["held_out"]) else "wrong"
    if row["protocol_hash"] is not None:
        # Once one side has none and makes none, the other's is shown nothing more.
        return "asker_unverified" if _standing(row["asker"]) <= _standing(row["server"]) else "server_unverified"
    return _why_not(row)


def _standing(routine: JsonObject | None) -> int:
    """How far a side's routine has come: none that is used, one that is tried, one that serves."""
    return 0 if routine is None else {"demoted": 0, "candidate": 1, "serving": 2}[routine["state"]]


def _why_not(row: JsonObject) -> str:
    why, asked = row["why_not"], row["asked"]["asker"]
    kind = why.partition(":")[0]
    if kind in ("BudgetSpent", "DeadlinePassed"):
        return "cap"
    if kind in ("ModelUnavailable", "ModelMisspoke"):
        return "model"
    if row["offered"] and row["tool"] not in row["offered"]:
        return "wrong_tool"
    if "no routine could be written" in why or (row["condition"] == "descriptions" and "write_sender" in asked):
        return "no_code"
    if row["condition"] == "descriptions":
        return "planner_declined"
    if "fails on examples" in why:
        return "fails_on_examples"
    if "the peer says: no" in why:
        return "no_tool"
    if "does not fit" in why:
        return "no_fit"
    return "peer" if kind.startswith("Peer") else "other"


def figures(rows: Sequence[JsonObject], priced_as: str) -> JsonObject:
    """What one condition came to. Means are over all pairs, failed ones included."""
    agreed = [row for row in rows if row["protocol_hash"] is not None]
    verified = [row for row in rows if row["verified"]]
    good = [row for row in rows if row["reason"] is None]
    calls = [each for row in verified for each in row["held_out"]]
    n = len(rows)
    return {
        "pairs": n,
        "agreed": share(len(agreed), n),
        "agreed_by_rules_alone": share(sum(not _used(row, "agreeing")["calls"] for row in agreed), n),
        "verified": share(len(verified), n),
        "verified_by_rules_alone": share(sum(not _used(row, "agreeing", "building")["calls"] for row in verified), n),
        "agreed_verified_and_right": share(len(good), n),
        "held_out_right": share(sum(each["came_to"] == "right" for each in calls), len(calls)),
        "held_out_wrong": sum(each["came_to"] == "wrong" for each in calls),
        "held_out_refused": sum(each["came_to"] == "refused" for each in calls),
        "held_out_by_routines": share(
            sum(each.get("tier") == each.get("peer_tier") == "routine" for each in calls), len(calls)
        ),
        "reasons": dict(Counter(row["reason"] for row in rows if row["reason"] is not None)),
        "rounds": _mean([row["rounds"] for row in rows]),
        "agreeing": _costs(rows, priced_as, "agreeing"),
        "until_verified": _costs(rows, priced_as, "agreeing", "building"),
        "in_held_out_calls": _costs(rows, priced_as, "held_out"),
    }


def _used(row: JsonObject, *phases: str) -> dict[str, float]:
    total: dict[str, float] = {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0, "seconds": 0.0}
    for phase in phases:
        for one in row["spent"].get(phase, {}).values():
            for name in total:
                total[name] += one[name]
    return total


def _costs(rows: Sequence[JsonObject], priced_as: str, *phases: str) -> JsonObject:
    used = [_used(row, *phases) for row in rows]
    prompt, completion = USD_PER_MILLION[priced_as]
    return {
        "model_calls": _mean([each["calls"] for each in used]),
        "tokens": _mean([each["prompt_tokens"] + each["completion_tokens"] for each in used]),
        "model_seconds": _mean([each["seconds"] for each in used]),
        "usd": _mean(
            [(each["prompt_tokens"] * prompt + each["completion_tokens"] * completion) / 1e6 for each in used]
        ),
    }


def _mean(values: Sequence[float]) -> JsonObject | None:
    """Mean and half of its 95 % interval over pairs (normal approximation)."""
    if not values:
        return None
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return {"mean": round(statistics.fmean(values), 6), "half_width_95": None if half is None else round(half, 6)}


def paired(rows: Mapping[str, Sequence[JsonObject]]) -> JsonObject:
    """For each two conditions, on the same pairs: how many are good in each, in one alone, in neither."""
    names = list(rows)
    found: JsonObject = {}
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            both = Counter(
                (left["reason"] is None, right["reason"] is None)
                for left, right in zip(rows[one], rows[other], strict=True)
            )
            found[f"{one}/{other}"] = {
                "good_in_each": both[True, True],
                f"{one}_alone": both[True, False],
                f"{other}_alone": both[False, True],
                "neither": both[False, False],
            }
    return found


_TABLE: Final = (
    ("one hash agreed on", "agreed"),
    ("of all pairs, by rules alone", "agreed_by_rules_alone"),
    ("both routines verified", "verified"),
    ("of all pairs, by rules alone", "verified_by_rules_alone"),
    ("verified, and every held-out call right", "agreed_verified_and_right"),
    ("held-out calls right", "held_out_right"),
    ("held-out calls by routines on both sides", "held_out_by_routines"),
)


def markdown(report: JsonObject) -> str:
    """The report for people."""
    models, conditions = report["models"], report["conditions"]
    part = "" if report["whole"] else " **The run is not whole: a further one goes on.**"
    lines = [
        f"# negotiation: {models['asker']} asks, {models['server']} serves",
        "",
        (
            f"Data: {report['data']}, split {report['split']}, vocabularies "
            f"{', '.join(f'v{each}' for each in report['variants'])}. {report['pairs']} pairs, the same under each "
            f"condition, seed {report['seed']}; {report['held_out']} calls held out, {report['shadows']} shadowed "
            f"exchanges for a verdict. Machine: {report['machine']['processor']}, {report['machine']['cores']} cores."
            f"{part}"
        ),
        "",
    ]
    if "scripted" in models.values():
        lines += [
            (
                "**A model here is scripted**: it is given the right answers, and stands for one that always "
                "understands. The table says what the engine makes of such a model, and nothing of language models."
            ),
            "",
        ]
    lines += ["| share of pairs (95 %) | " + " | ".join(conditions) + " |", "|---" * (len(conditions) + 1) + "|"]
    for title, name in _TABLE:
        lines.append(f"| {title} | " + " | ".join(shown(each[name]) for each in conditions.values()) + " |")
    lines.append("| rounds | " + " | ".join(_cell(each["rounds"]) for each in conditions.values()) + " |")
    for title, phase in (("agreeing", "agreeing"), ("until verified", "until_verified")):
        for name in ("model_calls", "tokens", "model_seconds", "usd"):
            cells = [_cell(each[phase][name]) for each in conditions.values()]
            lines.append(f"| {name.replace('_', ' ')} a pair, {title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        (
            "By rules alone: no model was called until then. Without a model at hand only schemas that leave no choice are "
            "agreed on, since nothing could verify the rest."
        ),
    ]
    lines += ["", f"Money: tokens at the price of {report['priced_as']['model']} ({report['priced_as']['as_of']}).", ""]
    lines += ["| why not | " + " | ".join(conditions) + " |", "|---" * (len(conditions) + 1) + "|"]
    for word, what in REASONS.items():
        counts = [each["reasons"].get(word, 0) for each in conditions.values()]
        lines.append(f"| `{word}`: {what} | " + " | ".join(map(str, counts)) + " |")
    lines += [
        "",
        "On the same pairs: " + "; ".join(f"{name}: {_said(each)}" for name, each in report["paired"].items()),
    ]
    lines += [
        "",
        (
            "Success between language models has been published for the negotiation of tasks (arXiv 2605.11376), not of "
            "protocols; the two are different measures."
        ),
        "",
    ]
    return "\n".join(lines)


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _cell(mean: Mapping[str, Any] | None) -> str:
    if mean is None:
        return "-"
    half = mean["half_width_95"]
    return f"{mean['mean']:.4g}" if half is None else f"{mean['mean']:.4g} ± {half:.2g}"


def plot(report: JsonObject) -> str:
    """How far the pairs got under each condition, as SVG."""
    conditions = report["conditions"]
    names = {"agreed": "one hash", "verified": "both verified", "agreed_verified_and_right": "all calls right"}
    return bar_plot(
        f"negotiation: {report['models']['asker']} asks, {report['models']['server']} serves",
        "% of pairs",
        list(conditions),
        {title: [100 * (each[name]["share"] or 0.0) for each in conditions.values()] for name, title in names.items()},
    )
