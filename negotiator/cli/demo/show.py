"""What the demo prints: a line an exchange, then what was agreed and compiled. Plain text, 80 columns and up."""

import textwrap
from statistics import median
from typing import Any, Final

from negotiator.cli.console import Console, one_line, short
from negotiator.cli.demo.exchanges import Exchange, Summary, priced_as, usd_of
from negotiator.models.base import Usage
from negotiator.models.prices import PRICES_AS_OF, USD_PER_MILLION
from negotiator.plan import CostPolicy

_ROOM: Final = 36
"""Columns that a reason needs to be read with ease."""
_SHADOWS: Final = CostPolicy().shadow_exchanges
_WORDS: Final = {"natural_language": "natural"}
_HEAD: Final = f"{'':>3}  {'caller':<10}  {'receiver':<10}  {'calls':>5}  {'tokens':>6}  {'s':>6}  {'USD':>8}  "


class Show:
    """Prints the demo as it goes on; with JSON asked for, only its summary at the end."""

    def __init__(self, console: Console, spec: str) -> None:
        self.console = console
        self.usd_at = priced_as(spec)
        self._served = {
            "scripted": "scripted: prepared answers in the place of a language model",
            "none": "none: no language model; both sides' schemas map exactly",
        }.get(spec)
        self._number = 0

    def begin(self, url: str, model: str, pids: tuple[int, int], *, same_words: bool) -> None:
        """Who they are, and what they talk through."""
        rate = USD_PER_MILLION[self.usd_at.rpartition("/")[2]]
        wants = (
            "city, day -> celsius, sky" if same_words else 'place, when ("24 Nov 2026") -> temperature_f, conditions'
        )
        self._out("Two agents in two processes, over HTTP on loopback. They have never met.")
        self._out()
        self._out(f"  caller    wants {wants}")
        self._out("  receiver  offers forecast(city, day) -> celsius, sky")
        self._out(f"            at {url}; processes {pids[0]} and {pids[1]}")
        self._out(f"  model     {self._served or f'{model}, for both'}")
        self._out(f"  USD       what the same tokens cost at {self.usd_at}:")
        self._out(f"            {rate[0]:.2f} in and {rate[1]:.2f} out a million (list price of {PRICES_AS_OF})")
        self._out()
        self._wrapped(
            "The same request, again and again. Calls, tokens, seconds and USD are those of both sides together.",
            "",
            hanging=0,
        )
        self._out()
        self._out(_HEAD + ("why" if self._roomy else ""))

    def exchange(self, exchange: Exchange) -> None:
        """One exchange."""
        self._number += 1
        wrong = "" if exchange.right or exchange.error else "; the answer is WRONG"
        self._row(
            str(self._number),
            (_WORDS.get(exchange.tier, exchange.tier), _WORDS.get(exchange.peer_tier, exchange.peer_tier)),
            exchange.usage,
            exchange.ms / 1000,
            one_line(exchange.reason) + wrong,
        )

    def learned(self, exchange: Exchange, news: list[str]) -> None:
        """What came of it off the request's path."""
        said = "; ".join(news)
        if exchange.learned.calls:
            self._row("", ("learned", ""), exchange.learned, exchange.learned.seconds, said)
        elif said:
            self._wrapped(f"learned     {said}", "     ", hanging=12)

    def further(self, made: list[Exchange], calls: int) -> None:
        """Many requests in one line."""
        if not made:
            return
        right = sum(each.right for each in made)
        by_routine = sum(each.final_tier == "routine" for each in made)
        self._out()
        self._wrapped(
            f"{len(made)} further requests, each another: {calls} model calls; {by_routine} by routine on both sides; "
            f"{right} right; {median(each.ms for each in made):.1f} ms each (median).",
            "",
            hanging=0,
        )

    def restarted(self, pids: tuple[int, int]) -> None:
        """Both processes are new."""
        self._out()
        self._wrapped(
            f"Both processes were ended, and started anew as {pids[0]} and {pids[1]} on what they had kept:",
            "",
            hanging=0,
        )
        self._out()

    def end(self, summary: Summary) -> None:
        """The agreed document, the routines, their verdicts, and what it comes to."""
        if self.console.as_json:
            self.console.json(summary.to_json())
            return
        if summary.protocol_hash is not None and summary.kept:
            self._title(f"The agreed document, {summary.protocol_hash}")
            text = summary.kept["caller"]["documents"].get(summary.protocol_hash, "")
            for line in text.rstrip().splitlines():
                self._wrapped(line, "  | ")
            for part, told in summary.kept.items():
                self._routines(part, told["routines"])
        self._out()
        self._verdict(summary)

    def _routines(self, part: str, routines: list[dict[str, Any]]) -> None:
        for routine in routines:
            self._title(f"The {part}'s routine")
            for line in routine["lines"]:
                self._wrapped(line, "  ")

    def _verdict(self, summary: Summary) -> None:
        spent = sum((each.usage + each.learned for each in summary.exchanges), Usage())
        if summary.good:
            said = "Routine on both sides: no model call since, and none after the restart."
        elif summary.calls_after_routine is None:
            said = f"Routines were NOT reached on both sides in {len(summary.exchanges)} exchanges."
        else:
            wrong = sum(not each.right for each in summary.exchanges if each.phase != "learning")
            said = (
                f"NOT as it should be: {summary.calls_after_routine} model calls after the routines were reached, "
                f"{summary.calls_after_restart} after the restart, {wrong} wrong answers; final tier "
                f"{summary.final_tier}."
            )
        total = f"{spent.calls} model calls, {spent.tokens} tokens, {usd_of(spent, self.usd_at):.5f} USD in all."
        self._wrapped(f"{said} {total}", "", hanging=0)
        self._out(f"Model: {self._served or summary.model}.")

    def _row(self, number: str, tiers: tuple[str, str], usage: Usage, seconds: float, why: str) -> None:
        head = (
            f"{number:>3}  {tiers[0]:<10}  {tiers[1]:<10}  {usage.calls:>5}  {usage.tokens:>6}  {seconds:>6.2f}  "
            f"{usd_of(usage, self.usd_at):>8.6f}  "
        )
        if not self._roomy:
            self._out(head)
            self._wrapped(why, "     ", hanging=0)
            return
        lines = textwrap.wrap(why, self.console.width - len(head)) or [""]
        self._out(head + lines[0])
        for line in lines[1:]:
            self._out(" " * len(head) + line)

    @property
    def _roomy(self) -> bool:
        """Whether there is room beside the numbers for the reason."""
        return self.console.width - len(_HEAD) >= _ROOM

    def _title(self, text: str) -> None:
        self._out()
        self._out(text)

    def _wrapped(self, line: str, mark: str, *, hanging: int | None = None) -> None:
        indent = " " * (len(line) - len(line.lstrip()) + 2 if hanging is None else hanging)
        room = self.console.width - len(mark)
        for part in textwrap.wrap(line, room, subsequent_indent=indent) or [""]:
            self._out(mark + part)

    def _out(self, text: str = "") -> None:
        if not self.console.as_json:
            self.console.out(text.rstrip())


def news_of(before: list[dict[str, Any]], after: list[dict[str, Any]], part: str) -> list[str]:
    """What changed in one side's routines, in a few words each."""
    known = {routine["id"]: routine for routine in before}
    said = []
    for routine in after:
        old = known.get(routine["id"])
        what = f"the {part}'s {routine['kind']}"
        state = {"serving": "serves", "candidate": "is a candidate"}.get(routine["state"], "was taken out of service")
        if old is None:
            if part == "caller":
                said.append(f"agreed on {short(routine['protocol_hash'])}")
            said.append(f"{what} (by {routine['made_by']}) {state}")
        elif (old["state"], old["verdict"]) != (routine["state"], routine["verdict"]):
            verdict = routine["verdict"]
            misses = f", {verdict['misses']} missed" if verdict["misses"] else ""
            said.append(f"{what} {state}: {verdict['shadows']} of {_SHADOWS} shadowed exchanges agreed{misses}")
    return said
