"""Files of every format, hand-made, and those that only say they were one."""

from __future__ import annotations

import io
import zlib

import msgspec
import pytest

from gatemill.knowledge.extracting import formats
from gatemill.knowledge.extracting.limits import Limits, UnreadableError
from gatemill.knowledge.extracting.reading import HERE_BYTES, Reading

LIMITS = Limits(
    file_bytes=1 << 20, text_bytes=200_000, pdf_pages=3, timeout_s=20.0, memory_bytes=512 << 20
)


def pdf(*pages, stream=None):
    """A PDF with a line of text on each page; `stream` is the compressed content of all of them."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    first = 4
    kids = b" ".join(b"%d 0 R" % (first + 2 * at) for at in range(len(pages)))
    objects.append(b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(pages), kids))
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for at, text in enumerate(pages):
        content = zlib.compress(b"BT /F1 12 Tf 72 720 Td (%b) Tj ET" % text.encode("latin-1"))
        content = stream or content
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (first + 2 * at + 1)
        )
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream"
            % (len(content), content)
        )
    out, places = io.BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1))
    out.write(b"startxref\n%d\n%%%%EOF\n" % table)
    return out.getvalue()


def refused(data, name, limits=LIMITS):
    with pytest.raises(UnreadableError) as refusal:
        formats.read(data, name, limits)
    return refusal.value.code, refusal.value.message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Größe\r\nzwei\rdrei".encode(), "Größe\nzwei\ndrei"),
        ("Größe".encode("utf-8-sig"), "Größe"),
        ("Größe".encode("utf-16"), "Größe"),
        ("Größe".encode("utf-32"), "Größe"),
        ("Größe € viel".encode("cp1252"), "Größe € viel"),
        (b'{"a": [1, 2]}', '{"a": [1, 2]}'),
        (b"a\0b" + b"c" * 200, "a\ufffdb" + "c" * 200),
    ],
)
def test_text_is_read_in_its_encoding(data, text):
    assert formats.read(data, "a.txt", LIMITS) == text


def test_markdown_stays_as_it_is():
    page = "# Mill\n\n* [wheat](https://example.org)\n\n```sh\ngrind\n```"
    assert formats.read(page.encode(), "a.md", LIMITS) == page


PAGE = """<!DOCTYPE html><html><head><title>Mills &amp; more</title><style>p {x}</style></head>
<body><nav>Home</nav><h2>Wheat</h2><p>Ground   at
<b>noon</b>.<img alt=" Stones" src=x><img src=y></p><script>alert("no")</script><ul><li>one<li>two</ul>
<table><tr><td>a</td><td>b</td></tr></table><pre>x
  y</pre><p hidden>&lt;tag&gt;</body>"""
READ = "# Mills & more\n\nHome\n\n## Wheat\n\nGround at noon. Stones\n\n- one\n- two\n\na b\n\nx\ny\n\n<tag>"


def test_html_is_read_as_people_see_it():
    assert formats.read(PAGE.encode(), "page", LIMITS) == READ
    latin = '<html><meta charset="iso-8859-15"><p>10 €</html>'.encode("iso-8859-15")
    assert formats.read(latin, "a.htm", LIMITS) == "10 €"
    assert refused(b"<script>only()</script>", "a.html")[0] == "invalid_file"


def test_pdf_is_read_page_by_page():
    assert formats.read(pdf("Wheat is ground", "at noon"), "any.name", LIMITS) == (
        "Wheat is ground\n\nat noon"
    )
    assert "4 pages" in refused(pdf(*"abcd"), "a.pdf")[1]
    assert "pictures" in refused(pdf(""), "a.pdf")[1]


@pytest.mark.parametrize(
    ("data", "name", "code", "word"),
    [
        (b"", "a.txt", "invalid_file", "no text"),
        (b" \n\t ", "a.md", "invalid_file", "no text"),
        (bytes(range(32)) * 50, "a.txt", "unsupported_file", "no text"),
        (b"PK\x03\x04 docx", "a.docx", "unsupported_file", "ZIP"),
        (b"\x89PNG\r\n", "a.pdf", "invalid_file", "no PDF"),
        (b"%PDF-1.4\n" + bytes(range(256)) * 9, "a.txt", "invalid_file", "no PDF"),
        (pdf("x")[:200], "a.pdf", "invalid_file", "no PDF"),
        (b"x" * 200_001, "a.txt", "invalid_file", "knowledge.text_bytes"),
        (b"x" * ((1 << 20) + 1), "a.txt", "invalid_file", "knowledge.file_bytes"),
        (b"\xff\xfe\x00", "a.txt", "invalid_file", "UTF-8"),
        (b"caf\x81 \xe9", "a.txt", "invalid_file", "UTF-8"),
    ],
)
def test_what_cannot_be_read_says_why(data, name, code, word):
    said = refused(data, name)
    assert said[0] == code
    assert word in said[1]


async def test_a_child_reads_what_may_be_hostile_and_dies_alone():
    reading = Reading(LIMITS)
    assert await reading.text(b"hello", "a.txt") == "hello"
    text = "wheat " * HERE_BYTES
    small = msgspec.structs.replace(LIMITS, text_bytes=1 << 20)
    assert await Reading(small).text(text.encode(), "a.txt") == text
    with pytest.raises(UnreadableError, match="text_bytes"):
        await reading.text(text.encode(), "a.txt")
    # 90 MB of spaces in 400 KB: more memory than it may have.
    bomb = pdf("x", stream=zlib.compress(b" " * (90 << 20), 1))
    tight = msgspec.structs.replace(LIMITS, memory_bytes=128 << 20)
    with pytest.raises(UnreadableError) as refusal:
        await Reading(tight).text(bomb, "a.pdf")
    assert refusal.value.code == "invalid_file"


async def test_a_child_that_takes_too_long_is_ended():
    slow = msgspec.structs.replace(LIMITS, timeout_s=-1.9)
    with pytest.raises(UnreadableError, match="memory or time"):
        await Reading(slow).text(pdf("x"), "a.pdf")


@pytest.mark.parametrize(
    "part",
    ["<a ", "<a b='", "<a b=c", '<a b="', "<!--", "<![CDATA[", "<![x", "</", "<?", "&#9", "<pre>"],
)
def test_tags_without_end_take_no_time(part):
    """Python's parser takes a minute for 64 KiB of the first: 1 MiB would end by the time limit of tests."""
    page = f"<html>words {part * (1_000_000 // len(part))}".encode()
    limits = msgspec.structs.replace(LIMITS, text_bytes=4 << 20)
    assert formats.read(page, "a.html", limits).startswith("words")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a <![foo[x]]>b<![>c<!x>d<?e>f</>g", "a bcdfg"),
        ("a<!-- <p>x --> b <!-- never ends", "a b"),
        ("if a <b and c < d", "if a <b and c < d"),
        ("<p title='a > b' x=\"<p>\">yes</p>", "yes"),
        ("<P>a<SCRIPT>if (a<b) '</p>'</ScRiPt >b<svg/>c<style>x", "abc"),
        ("<img src=x ALT='a &lt; b'/><img alt=c><img data-alt=no>", "a < bc"),
        ("&amp;&#65;&#99999999999999;&#x110000;&#xd800;", "&A\ufffd\ufffd\ufffd"),
        (f"&#{'9' * 5000};x", "\ufffdx"),
    ],
)
def test_hostile_html_is_read_as_a_browser_does(page, text):
    assert formats.read(page.encode(), "a.html", LIMITS) == text


def test_a_codec_that_fails_in_its_own_way_is_no_text():
    code, message = refused(b"<meta charset=undefined>\xff", "a.html")
    assert (code, message[:28]) == ("invalid_file", "Its characters cannot be tol")


def test_halves_of_surrogate_pairs_never_reach_a_database():
    page = b"<meta charset=unicode_escape>\xff a\\ud800b"
    assert formats.read(page, "a.html", LIMITS).endswith("a\ufffdb")
