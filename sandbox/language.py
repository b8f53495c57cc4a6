"""The language of handlers in words, for whoever writes them: a person, or a model's prompt."""

LANGUAGE = """\
Write plain Python that is a pure function of its argument and its tools.
- Define the function asked for at the top level, with one parameter; other functions, constants and small classes may
  stand beside it. Nothing is kept from one call to the next.
- Return JSON: dict with text keys, list, str, int, float, bool or None; no dates, sets or objects, no NaN.
- Imports, and there are no others: base64, binascii, bisect, calendar, collections, copy, csv, datetime, decimal,
  fractions, functools (reduce), heapq, html, io (StringIO), itertools, json, math, operator, re, statistics, string,
  textwrap, typing, unicodedata, urllib.parse.
- There is no clock, no randomness, no file, no network, no environment: no datetime.now(), open(), os, sys, time, uuid.
- Times without a zone are UTC. Regular expressions: no repeat inside a repeat, no reference back to a group.
- Not in the language: with, async, match, eval, exec, names and attributes with two leading underscores, str.format
  with attributes, dataclasses, classes derived from built-in types other than errors.
- Tools are ordinary functions, called without await; a tool that fails raises ToolError.
- Raise ValueError with a short text where the input does not fit.
"""
