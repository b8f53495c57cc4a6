"""The language of handlers in words, for whoever writes them: a person, or a model's prompt."""

LANGUAGE = """\
Write plain Python that is a pure function of its argument and its tools.
- Define the function asked for at the top level, with one parameter; other functions, constants, small classes and
  dataclasses may stand beside it. Nothing is kept from one call to the next.
- Return JSON: dict with text keys, list, str, int, float, bool or None; no dates, sets or objects, no NaN.
- Imports, and there are no others: abc, base64, binascii, bisect, calendar, collections, copy, csv, dataclasses,
  datetime, decimal, fractions, functools, heapq, html, io (StringIO), itertools, json, math, numbers, operator, re,
  statistics, string, textwrap, typing, unicodedata, urllib.parse.
- There is no clock, no randomness, no file, no network, no environment: no datetime.now(), open(), os, sys, time, uuid.
- Times without a zone are UTC. Regular expressions that may take long are refused: in long texts no reference back to
  a group, and no repeat of something that may be empty.
- Not in the language: with, async, except*, eval, exec, names and attributes that begin and end with two underscores
  (other than __init__, comparisons, __str__, __repr__, __len__, __bool__, __iter__, __next__, __getitem__, __hash__,
  __call__ and __post_init__ as methods), str.format with attributes, classes derived from built-in types other than
  errors; in match, classes other than str, int, float, bool, list, dict, tuple and bytes.
- Tools are ordinary functions, called without await; a tool that fails raises ToolError.
- Raise ValueError with a short text where the input does not fit.
"""
