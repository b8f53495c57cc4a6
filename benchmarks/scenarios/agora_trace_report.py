"""From the transcripts of `agora-trace` to its figures, its tables and its plot. Pure but for the writing."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.baselines.hindsight import Best, Paid, Place, Seen, best_in_hindsight
from benchmarks.plots import line_plot
from benchmarks.scenarios.agora_trace_town import PAPER_PRICES
from benchmarks.shares import KEPT
from negotiator.jsonvalue import JsonObject
from negotiator.models.prices import PRICES_AS_OF, USD_PER_MILLION
from negotiator.plan import CostPolicy

WINDOW: Final = 100
TODAY: Final = {"gpt-4o": "gpt-5.1", "llama-3-405b": "deepseek-chat", "gemini-1.5-pro": "gemini-2.5-pro"}
"""What takes the place of the paper's models at today's prices."""
FIGURES: Final = (
    "usd", "usd_today", "model_calls", "tokens", "llm_touched", "llm_touched_last_100", "right", "silently_wrong",
    "refused", "documents", "routines",
)  # fmt: skip
_T_95: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t for a two-sided interval of 95 %, by the number of seeds."""

Lines = Sequence[JsonObject]
"""One for each query, as `Done.to_json` writes it."""


def figures(lines: Lines, summary: Mapping[str, Any]) -> JsonObject:
    """What one contender came to for one seed."""
    exchanges = [each for line in lines for each in line["exchanges"]]
    touched = [any(each["calls"] for each in line["exchanges"]) for line in lines]
    windows = [sum(touched[at : at + WINDOW]) for at in range(0, len(lines), WINDOW)]
    tiers: dict[str, int] = {}
    for each in exchanges:
        tiers[each["tier"]] = tiers.get(each["tier"], 0) + 1
    return {
        "usd": sum(each["usd"] + each["learned_usd"] for each in exchanges),
        "usd_today": _at_todays(summary["tokens"]),
        "model_calls": sum(each["calls"] + each["learned_calls"] for each in exchanges),
        "tokens": sum(each["prompt"] + each["completion"] for each in summary["tokens"].values()),
        "llm_touched": sum(touched),
        "llm_touched_last_100": sum(touched[-WINDOW:]),
        "llm_touched_by_100": windows,
        **{name: sum(line["came_to"] == name for line in lines) for name in ("right", "silently_wrong", "refused")},
        "documents": summary["documents"],
        "routines": summary["routines"],
        "exchanges": tiers,
        "nested": len(exchanges) - sum(bool(line["exchanges"]) for line in lines),
    }


def _at_todays(tokens: Mapping[str, Any]) -> float:
    return sum(
        (used["prompt"] * USD_PER_MILLION[TODAY[model]][0] + used["completion"] * USD_PER_MILLION[TODAY[model]][1])
        / 1e6
        for model, used in tokens.items()
    )


def hindsight(words: Lines, others: Sequence[tuple[Lines, bool]]) -> JsonObject:
    """The lower bound for one seed, from the run in words and all other runs in the engine.

    Of each of those, whether its servers agree to documents in the askers' words.
    """
    paid: dict[Place, list[Paid]] = {}
    for line in words:
        for each in line["exchanges"]:
            paid.setdefault((each["server"], each["kind"]), []).append((each["usd"], each["calls"]))
    best = best_in_hindsight(paid, [_seen(*each) for each in others], shadows=CostPolicy().shadow_exchanges)
    touched = _touched(words, best)
    routines = sum(each.tier == "routine" for each in best.values())
    return {
        "usd": sum(each.usd for each in best.values()),
        "usd_today": None,
        "model_calls": sum(each.calls for each in best.values()),
        "tokens": None,
        "llm_touched": sum(touched),
        "llm_touched_last_100": sum(touched[-WINDOW:]),
        "llm_touched_by_100": [sum(touched[at : at + WINDOW]) for at in range(0, len(touched), WINDOW)],
        "right": len(words),
        "silently_wrong": 0,
        "refused": 0,
        "documents": sum(each.tier != "natural_language" for each in best.values()),
        "routines": routines,
        "exchanges": {},
        "nested": sum(len(line["exchanges"]) - 1 for line in words),
    }


def _seen(lines: Lines, askers: bool) -> dict[Place, Seen]:  # noqa: FBT001 - as it comes
    structured: dict[Place, list[Paid]] = {}
    learned: dict[Place, tuple[float, int]] = {}
    served: set[Place] = set()
    for line in lines:
        for each in line["exchanges"]:
            place = (each["server"], each["kind"])
            usd, calls = learned.get(place, (0.0, 0))
            learned[place] = (usd + each["learned_usd"], calls + each["learned_calls"])
            if each["tier"] == "routine":
                served.add(place)
            elif each["tier"] == "structured":
                structured.setdefault(place, []).append((each["usd"], each["calls"]))
    return {
        place: Seen(askers, tuple(structured.get(place, ())), learned[place] if place in served else None)
        for place in learned
    }


def _touched(words: Lines, best: Mapping[Place, Best]) -> list[bool]:
    so_far: dict[Place, int] = {}
    touched = []
    for line in words:
        any_model = False
        for each in line["exchanges"]:
            place = (each["server"], each["kind"])
            so_far[place] = so_far.get(place, 0) + 1
            any_model = any_model or so_far[place] <= best[place].touched
        touched.append(any_model)
    return touched


def over_seeds(each: Sequence[JsonObject]) -> JsonObject:
    """Means over the seeds, with the half width of their intervals of 95 %."""
    made: JsonObject = {}
    half: JsonObject = {}
    for name in FIGURES:
        values = [one[name] for one in each if one[name] is not None]
        made[name] = statistics.fmean(values) if values else None
        if len(values) in _T_95:
            half[name] = _T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    windows = zip(*(one["llm_touched_by_100"] for one in each), strict=True)
    made["llm_touched_by_100"] = [statistics.fmean(window) for window in windows]
    made["half_width_95"] = half
    made["seeds"] = list(each)
    return made


def ratios(policies: Mapping[str, JsonObject]) -> JsonObject:
    """The figures that targets are set in: means of the seeds' money, one over the other."""

    def over(one: str, other: str) -> float | None:
        if one not in policies or other not in policies or not policies[other]["usd"]:
            return None
        return float(policies[one]["usd"] / policies[other]["usd"])

    return {
        "ours_over_hindsight": over("ours", "hindsight"),
        "ours_without_predictions_over_hindsight": over("ours_without_predictions", "hindsight"),
        "ours_over_agora_paper": over("ours", "agora_paper"),
        "ours_over_agora_package": over("ours", "agora_package"),
        "ours_over_nl_only": over("ours", "nl_only"),
    }


TARGETS: Final = {
    "ours_over_hindsight": 1.6,
    "ours_without_predictions_over_hindsight": 2.0,
    "ours_over_agora_paper": 0.5,
    "ours_llm_touched_last_100": 8,
    "ours_silently_wrong": 0,
}
"""What is promised, each at most, for 100 agents, the scripted model and the mean of five seeds."""


def targets(policies: Mapping[str, JsonObject]) -> JsonObject:
    """For each of `TARGETS` what came of it, and whether it is kept; None where a row that it needs is not there."""
    found = {
        **ratios(policies),
        **{f"ours_{name}": policies.get("ours", {}).get(name) for name in ("llm_touched_last_100", "silently_wrong")},
    }
    return {
        name: {
            "value": found[name],
            "at_most": most,
            "kept": None if found[name] is None else found[name] <= most,
        }
        for name, most in TARGETS.items()
    }


def markdown(report: JsonObject) -> str:
    """The report for people."""
    seeds = ", ".join(map(str, report["seeds"]))
    lines = [
        f"# agora-trace: {report['agents']} agents, {report['traffic']} traffic, model {report['model']}",
        "",
        (
            f"{report['queries']} queries a seed, seeds {seeds}; means, and half the width of the interval of 95 % over "
            f"seeds (Student's t). Machine: {report['machine']['processor']}, {report['machine']['cores']} cores."
        ),
        "",
        (
            "| policy | USD (paper's prices) | USD today | model calls | touched by a model, last 100 | right | silently "
            "wrong | refused | documents | routines |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, policy in report["policies"].items():
        cells = (
            "usd", "usd_today", "model_calls", "llm_touched_last_100", "right", "silently_wrong", "refused",
            "documents", "routines",
        )  # fmt: skip
        lines.append("| " + " | ".join([name, *(_cell(policy, cell) for cell in cells)]) + " |")
    lines += ["", "| ratio of money | |", "|---|---|"]
    lines += [f"| {name} | {'-' if value is None else f'{value:.2f}'} |" for name, value in report["ratios"].items()]
    lines += ["", "| promised for 100 agents, scripted, mean of 5 seeds | at most | here | kept |", "|---|---|---|---|"]
    for name, each in report["targets"].items():
        value = "-" if each["value"] is None else f"{each['value']:.2f}"
        lines.append(f"| {name} | {each['at_most']} | {value} | {KEPT[each['kept']]} |")
    if not report["whole"]:
        lines += ["", "Not all runs are there yet: the next one, with the same --out, goes on."]
    lines += ["", "Queries touched by a model, by hundreds:", ""]
    for name, policy in report["policies"].items():
        lines.append(f"- {name}: " + " ".join(f"{each:.0f}" for each in policy["llm_touched_by_100"]))
    lines += ["", "## What each row is", ""]
    lines += [f"- `{name}`: {what}." for name, what in report["what"].items()]
    lines += ["", *report["notes"], ""]
    return "\n".join(lines)


def _cell(policy: JsonObject, name: str) -> str:
    value = policy[name]
    if value is None:
        return "-"
    shown = f"{value:.3f}" if name.startswith("usd") else f"{value:.1f}"
    half = policy["half_width_95"].get(name)
    if half is None:
        return shown
    return f"{shown} ± {half:.3f}" if name.startswith("usd") else f"{shown} ± {half:.1f}"


def plot(report: JsonObject) -> str:
    """How many queries of each hundred a model had a part in, as SVG."""
    policies = report["policies"]
    number = len(next(iter(policies.values()))["llm_touched_by_100"])
    return line_plot(
        f"Queries touched by a model ({report['agents']} agents, {report['traffic']}, {report['model']})",
        "queries so far",
        "of each hundred",
        [WINDOW * (at + 1) for at in range(number)],
        {name: policy["llm_touched_by_100"] for name, policy in policies.items()},
    )


def notes(model: str, *, scripted: bool) -> list[str]:
    """What a reader has to know."""
    prices = "; ".join(f"{name} {prompt}/{answer}" for name, (prompt, answer) in PAPER_PRICES.items())
    today = "; ".join(f"{name} as {other}" for name, other in TODAY.items())
    kind = (
        "The model is scripted: it reads the prompts that were sent and always answers rightly. Figures tell what a "
        "policy costs, and say nothing of what a language model understands."
        if scripted
        else f"The model is {model}, its tokens at the prices of the models that the paper's agents had."
    )
    return [
        "## How to read it",
        "",
        f"- {kind}",
        (
            "- All rows but `hindsight` and `gold_adapter` are real agents of this package over a transport in memory, "
            "given the same queries in the same order; nested questions and learning are counted. They differ in their "
            "cost policies alone, but for the differences that a row names. No row is simulated."
        ),
        (
            f"- Prices of the paper, USD for a million tokens of prompt/completion: {prices}. Today's "
            f"({PRICES_AS_OF}): {today}. Tokens are counted from the prompts and answers really sent; scripted ones at "
            "four characters a token."
        ),
        (
            "- The shape of the traffic is that of arXiv 2410.11905, appendix D.2; its data has no licence and is not "
            "used. Servers differ in words, not in units or formats."
        ),
        (
            "- Documents that rules draft have the same hash wherever they are drafted, so the paper's three directories "
            "have nothing to add here: each asker finds its document at the server, or drafts it."
        ),
    ]
