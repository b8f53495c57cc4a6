"""Words as search compares them: folded, stemmed, cut where a script writes no blanks, and what a query may mean too."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final

MAX_QUERY: Final = 1000
"""Characters of a query that are read."""

_UNSPACED = "\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where an identifier in camel case is cut."""
_CONTRACTED = re.compile(r"(?<=[a-z])['\u2019](?:s|re|ve|ll|d|m|t)\b", re.IGNORECASE)

_STOPWORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "a about all also am an and any are as at be been being but by can could did do does for from had has have he "
        "her here him his how i if in into is it its just let like may me might my need no not of on one or our out "
        "please she should so some such than that the their them then there these they this those to us was we were "
        "what when where which who whom whose why will with would you your want wants wanted given",
    )
)
"""Words that a question holds whatever it is about."""

_RELATED: Final = """
create add make new open start register insert
delete remove drop erase discard destroy
list show get fetch view see read look retrieve display return enumerate find
update change edit modify alter amend rename adjust
replace overwrite swap
set put assign define configure
check verify test determine confirm
enable activate allow permit grant
disable deactivate forbid block prevent
stop cancel abort halt end
start run trigger launch begin execute
send post submit deliver
cancel undo revert revoke withdraw
search find look query
book reserve reservation booking
buy purchase order
download export
upload import
approve accept confirm agree
reject decline refuse deny dismiss
user person people member account someone somebody
organization org company
team group
repository repo project codebase
comment remark reply note
message mail email
file document
picture image photo avatar
setting configuration config option preference
secret password credential token
permission right access role
rule policy protection restriction
owner admin administrator
price cost fee fare charge rate bill billing payment
place location address
city town
date day
weather forecast
hotel room accommodation lodging stay
flight plane airline
taxi cab ride
restaurant dining table
film movie cinema
song music track
doctor physician medical
job work task
event activity happening
notification alert notify
number count amount total
statistic statistics metric analytics usage traffic
version release edition
label tag
history log record
bug issue ticket problem
merge combine join
copy duplicate clone fork
difference diff compare comparison
favorite favourite star bookmark
follow watch subscribe subscription
invite invitation
server host machine
identifier id
environment env
variable var
information info detail
application app
pull_request pr
vulnerability security weakness
license licence
programming code source
language idiom
"""
"""A line of words that people use for one another. They widen a query, each at less than its own word's weight."""


@cache
def _runs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A run of letters of one kind of script, and the beginning of one without blanks; dear to compile."""
    return re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+"), re.compile(f"[{_UNSPACED}]")


def terms(text: str) -> Iterator[str]:
    """The words of a text as they are compared, in order: folded, split at case and underscores, stemmed.

    Scripts that write no blanks between words (Chinese, Japanese, Korean, Thai) come as pairs of characters.
    """
    word, unspaced = _runs()
    for match in word.finditer(_CONTRACTED.sub("", text)):
        run = match[0]
        if unspaced.match(run):
            yield from (run[index : index + 2] for index in range(max(1, len(run) - 1)))
        else:
            yield from (stem(part.casefold()) for part in CAMEL.split(run))


def wanted_terms(query: str, *, related: float = 0.35) -> dict[str, float]:
    """The terms that a query asks for with their weights: its own words at 1, what they may mean too at `related`.

    Words that any question holds are left out, unless there are no others.
    """
    said = list(dict.fromkeys(terms(query[:MAX_QUERY])))
    telling = [term for term in said if term not in _STOPWORDS and term not in _stop_stems()] or said
    wanted = dict.fromkeys(telling, 1.0)
    for term in telling:
        for other in _related().get(term, ()):
            wanted.setdefault(other, related)
    return wanted


_LEAST: Final = 3
"""Letters that a stem keeps."""
_NO_PLURAL: Final = ("ss", "us", "is")
_SIBILANT: Final = ("ses", "xes", "zes", "ches", "shes")
_LONG_AT: Final = 7


@lru_cache(maxsize=32_768)
def stem(word: str) -> str:
    """A light stem of an English word: endings of number, tense and noun are cut, on both sides alike."""
    if len(word) <= _LEAST or not word.isascii():
        return word
    word = _singular(word)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST and re.search("[aeiouy]", word[: -len(ending)]):
            word = _single_end(word[: -len(ending)])
            break
    if word.endswith("ment") and len(word) > len("ment") + _LEAST:
        word = word[:-4]
    if word.endswith(("tion", "sion")) and len(word) > len("ion") + _LEAST:
        word = word[:-3]
    if word.endswith("e") and len(word) > _LEAST:
        word = word[:-1]
    if word.endswith("at") and len(word) >= _LONG_AT:
        word = word[:-2]
    return word[:-1] + "i" if word.endswith("y") and len(word) > _LEAST else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > _LEAST + 1:
        return word[:-3] + "y"
    if word.endswith(_SIBILANT):
        return word[:-2] if not word.endswith("ses") or word.endswith("sses") else word[:-1]
    return word[:-1] if word.endswith("s") and not word.endswith(_NO_PLURAL) else word


def _single_end(word: str) -> str:
    """`runn` of `running` without its second n."""
    doubled = len(word) > _LEAST and word[-1] == word[-2] and word[-1] not in "aeiouls"
    return word[:-1] if doubled else word


@cache
def _stop_stems() -> frozenset[str]:
    return frozenset(map(stem, _STOPWORDS))


@cache
def _related() -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for line in _RELATED.split("\n"):
        group = [stem(word) for word in line.split()]
        for term in group:
            found.setdefault(term, {}).update(dict.fromkeys(other for other in group if other != term))
    return {term: tuple(others) for term, others in found.items()}
