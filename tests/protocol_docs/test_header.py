import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs import ProtocolDocument, render_document

try:
    import yaml
except ImportError:
    yaml = None

needs_yaml = pytest.mark.skipif(yaml is None, reason="no YAML parser is installed")

NASTY = [
    "Weather --- forecast",
    "two\nlines\r\nand\u2028more",
    "a: b",
    "a #b",
    "'quoted'",
    '"quoted"',
    "true",
    "null",
    "no",
    "123",
    "1.5e3",
    "- item",
    "{a: b}",
    "[a]",
    "*alias",
    "&anchor",
    "!tag",
    "%directive",
    "@at",
    "`tick",
    "|",
    "> folded",
    "?",
    "a\\b",
    "\x1b[31mred\x1b[0m",
    "\ufeffmark",
    "\u202eevil",
    "\u5929\u6c17\u4e88\u5831",
    "\U0001f326 rain",
    "x" * 5000,
    "-" * 500,
    "name: --- \n---\nname: other",
    "",
    "   ",
]


def rendered(name, description="A description.", body="The body.\n", **options):
    return render_document(name=name, description=description, body=body, annex=None, **options)


def working_standard_fields(text):
    """A strict reader of the Working Standard: fields up to the first line that is `---`, as YAML."""
    above, separator, below = text.partition("\n---\n")
    assert separator
    fields = yaml.safe_load(above)
    assert set(fields) == {"name", "description", "multiround"}
    return fields, below


def package_fields(text):
    """The 0.2.0 package: YAML of whatever stands between the first two `---`."""
    start = text.find("---")
    return yaml.safe_load(text[start + 3 : text.find("---", start + 3)].strip())


def line_fields(text):
    """A reader of the Working Standard without YAML: one field a line, comments skipped, exactly one line `---`."""
    lines = text.split("\n")
    assert lines.count("---") == 1
    end = lines.index("---")
    pairs = [line.split(": ", 1) for line in lines[:end] if not line.startswith("#")]
    fields = {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}
    return fields, "\n".join(lines[end + 1 :])


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("multiround", [True, False])
def test_a_strict_line_reader_finds_the_fields_and_the_body(name, multiround):
    document = rendered(name, description=name, multiround=multiround)
    fields, below = line_fields(document.text)
    assert fields == {"name": document.name, "description": document.description, "multiround": str(multiround).lower()}
    assert below == "The body.\n"
    assert "---" not in document.name
    assert "\n" not in document.name


@needs_yaml
@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("multiround", [True, False])
def test_readers_of_yaml_find_the_same_fields(name, multiround):
    document = rendered(name, description=name, multiround=multiround)
    expected = {"name": document.name, "description": document.description, "multiround": multiround}
    assert working_standard_fields(document.text) == (expected, "The body.\n")
    assert package_fields(document.text) == expected


@needs_yaml
@given(name=st.text(max_size=60), description=st.text(max_size=200), body=st.text(max_size=400))
def test_any_name_description_and_body_read_back_the_same_from_every_parser(name, description, body):
    document = rendered(name, description, body)
    expected = {"name": document.name, "description": document.description, "multiround": False}
    assert working_standard_fields(document.text)[0] == expected
    assert package_fields(document.text) == expected
    again = render_document(name=document.name, description=document.description, body=document.body, annex=None)
    assert again == document


def test_a_plain_name_stands_unquoted():
    assert "\nname: Weather forecast (v2)\n" in rendered("Weather forecast (v2)").text


def test_the_body_holds_no_second_rule_and_no_second_annex():
    document = rendered("x", body="one\n---\ntwo\n----\n## Annex\nthree")
    assert document.text.split("\n").count("---") == 1
    assert document.annex_problem is None
    assert document.body == "one\n* * *\ntwo\n* * *\n### Annex\nthree"


@pytest.mark.parametrize(
    ("text", "name", "description", "multiround"),
    [
        ("---\nname: A\ndescription: B\nmultiround: true\n---\nbody", "A", "B", True),
        ("name: A\ndescription: B\nmultiround: false\n---\nbody", "A", "B", False),
        ("\n\n---\nname: 'It''s'\ndescription: \"a \\\"b\\\"\"\n---\nbody", "It's", 'a "b"', False),
        ("---\r\nname: A\r\ndescription: B\r\n---\r\nbody", "A", "B", False),
        ("\ufeff---\nname: A\ndescription: B\n---\nbody", "A", "B", False),
        ("---\nname: A\ndescription: >\n  one\n  two\n---\nbody", "A", "one two", False),
        ("---\nname: A\nversion: 2\ntags:\n  - x\ndescription: B # why\n---\nbody", "A", "B", False),
        ("Here is the protocol:\n---\nname: A\ndescription: B\nmultiround: True\n---\nbody", "A", "B", True),
        ("---\ndescription: B\n---\n# Title\nbody", "Title", "B", False),
        ("<NAME>A</NAME>\n<DESCRIPTION>B\nC</DESCRIPTION>\nbody", "A", "B C", False),
    ],
)
def test_headers_of_strangers_are_read(text, name, description, multiround):
    document = ProtocolDocument.from_text(text)
    assert (document.name, document.description, document.multiround) == (name, description, multiround)
    assert document.body.endswith("body")
    assert document.text == text


def test_a_plain_text_is_named_by_its_first_line_and_described_by_its_first_paragraph():
    text = "\n\nNetwork Working Group\n\nRequest for Comments: 768\nUser Datagram Protocol\n\nIntroduction\n---\nmore\n"
    document = ProtocolDocument.from_text(text)
    assert document.name == "Network Working Group"
    assert document.description == "Request for Comments: 768 User Datagram Protocol"
    assert document.body == text.strip("\n")


def test_a_heading_underlined_with_hyphens_is_no_header():
    document = ProtocolDocument.from_text("Weather\n---\nSend a city.\n")
    assert (document.name, document.description) == ("Weather", "Send a city.")


@given(st.text(min_size=1, max_size=400))
def test_any_text_has_a_one_line_name_within_its_length(text):
    document = ProtocolDocument.from_text(text)
    assert 0 < len(document.name) <= 200
    assert len(document.description) <= 1000
    assert len(document.name.splitlines()) == 1
    assert not any(ord(char) < 32 for char in document.name + document.description)


def test_what_a_stranger_writes_into_a_name_cannot_move_a_terminal_or_hide():
    document = ProtocolDocument.from_text("name: a\x1b[2J\u202eb\x00c\ndescription: d\n---\n")
    assert document.name == "a[2Jbc"
