"""What the demo prints: a line an exchange, then what was agreed and compiled. Plain text, 80 columns and up."""

import textwrap
from statistics import median
from typing import Any, Final

from negotiator.cli.console import Console, one_line, short
from negotiator.cli.demo.exchanges import Exchange, Summary, priced_as, usd_of
from negotiator.models.base import Usage
from negotiator.models.prices import PRICES_AS_OF, USD_PER_MILLION

_WORDS: Final = {"natural_language": "natural"}
_HEAD: Final = f"{'':>3}  {'caller':<10}  {'receiver':<10}  {'calls':>5}  {'tokens':>6}  {'s':>6}  {'USD':>8}  "


class Show:
    """Prints the demo as it goes on; with JSON asked for, only its summary at the end."""

    def __init__(self, console: Console, spec: str) -> None:
        self.console = console
        self.usd_at = priced_as(spec)
        self._served = {
            "scripted": "scripted: prepared answers in a model's place; no language model is called",
            "none": "none: no language model; both sides' schemas map exactly",
        }.get(spec)
        self._number = 0

    def begin(self, url: str, model: str, pids: tuple[int, int], *, same_words: bool) -> None:
        """Who they are, and what they talk through."""
        rate = USD_PER_MILLION[self.usd_at.rpartition("/")[2]]
        wants = "city, day -> celsius, sky" if same_words else "place, when (24 Nov 2026) -> temperature_f, conditions"
        self._out("Two agents in two processes, over HTTP on loopback. They have never met.")
        self._out()
        self._out(f"  caller    wants     {wants}  (process {pids[0]})")
        self._out(f"  receiver  offers    forecast(city, day) -> celsius, sky  (process {pids[1]})")
        self._out(f"            at        {url}")
        self._out(f"  model     of both   {self._served or model}")
        self._out(
            f"  USD       what the tokens cost at {self.usd_at} ({rate[0]:g} in, {rate[1]:g} out a million; {PRICES_AS_OF})"
        )
        self._out()
        self._out("The same request, again and again. Calls, tokens and seconds are those of both sides together.")
        self._out()
        self._out(_HEAD + "why")

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
        if news or exchange.learned.calls:
            self._row("", ("learned", ""), exchange.learned, exchange.learned.seconds, "; ".join(news))

    def further(self, made: list[Exchange], calls: int) -> None:
        """Many requests in one line."""
        if not made:
            return
        right = sum(each.right for each in made)
        by_routine = sum(each.final_tier == "routine" for each in made)
        self._out()
        self._out(
            f"{len(made)} further requests, each another: {calls} model calls, {by_routine} by routine on both sides, "
            f"{right} right,"
        )
        self._out(f"{median(each.ms for each in made):.1f} ms each (median).")

    def restarted(self, pids: tuple[int, int]) -> None:
        """Both processes are new."""
        self._out()
        self._out(f"Both processes were ended and started anew (now {pids[0]} and {pids[1]}), on what they had kept:")
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
        total = f"{spent.calls} model calls, {spent.tokens} tokens, {usd_of(spent, self.usd_at):.5f} USD in all"
        if summary.good:
            self._out(f"Routine on both sides; no model call since, and none after the restart. {total}.")
        elif summary.calls_after_routine is None:
            self._out(f"Routines were NOT reached on both sides in {len(summary.exchanges)} exchanges. {total}.")
        else:
            self._out(
                f"NOT as it should be: {summary.calls_after_routine} model calls after the routines were reached, "
                f"{summary.calls_after_restart} after the restart, final tier {summary.final_tier}. {total}."
            )
        self._out(f"Model: {self._served or summary.model}.")

    def _row(self, number: str, tiers: tuple[str, str], usage: Usage, seconds: float, why: str) -> None:
        head = (
            f"{number:>3}  {tiers[0]:<10}  {tiers[1]:<10}  {usage.calls:>5}  {usage.tokens:>6}  {seconds:>6.2f}  "
            f"{usd_of(usage, self.usd_at):>8.6f}  "
        )
        lines = textwrap.wrap(why, max(self.console.width - len(head), 20)) or [""]
        self._out(head + lines[0])
        for line in lines[1:]:
            self._out(" " * len(head) + line)

    def _title(self, text: str) -> None:
        self._out()
        self._out(text)

    def _wrapped(self, line: str, mark: str) -> None:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        room = self.console.width - len(mark)
        for part in textwrap.wrap(line, room, subsequent_indent=indent, drop_whitespace=False) or [""]:
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
        if old is None:
            said.append(f"agreed on {short(routine['protocol_hash'])}" if part == "caller" else "")
            said.append(f"{part}: {routine['kind']} routine, made by {routine['made_by']}, {routine['state']}")
        elif (old["state"], old["verdict"]) != (routine["state"], routine["verdict"]):
            said.append(f"{part}: {routine['state']}, {_shadows(routine)}")
    return [word for word in said if word]


def _shadows(routine: dict[str, Any]) -> str:
    verdict = routine["verdict"]
    said = f"agreed on {verdict['shadows']} shadowed exchanges"
    return said + (f", {verdict['misses']} misses" if verdict["misses"] else "")
