import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import (
    InvalidRequest,
    InvalidValue,
    RequestTooLarge,
    UnsupportedEncoding,
    UnsupportedParameter,
)
from gatemill.edge.form import FIELD_BYTES_MAX, Form

TYPE = "multipart/form-data; boundary=cut"


def part(name, data, filename=None):
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--cut\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def whole(*parts):
    return b"".join(parts) + b"--cut--\r\n"


def form(kind=TYPE, encoding=""):
    return Form(kind, encoding, ("purpose", "color"))


GOOD = whole(
    part("purpose", b"batch"), part("file", b"\r\n--cu\r\nbytes", "a b.txt"), part("color", b"red")
)


@given(st.lists(st.integers(1, len(GOOD)), max_size=12).map(sorted))
def test_a_form_is_the_same_however_its_bytes_are_cut(cuts):
    found, read = b"", form()
    for start, end in zip([0, *cuts], [*cuts, len(GOOD)], strict=True):
        found += read.feed(GOOD[start:end])
    read.close()
    assert found == b"\r\n--cu\r\nbytes"
    assert read.fields == {"purpose": "batch", "color": "red"}
    assert read.filename == "a b.txt"


def test_other_headers_of_a_part_are_not_looked_at():
    read = form()
    data = part("file", b"x", "ä.txt").replace(
        b"Content-Disp", b"Content-Type: text/x\r\ncontent-disp"
    )
    assert read.feed(whole(data)) == b"x"
    assert read.filename == "ä.txt"


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=cut"]
)
def test_another_content_type_is_refused(kind):
    with pytest.raises(UnsupportedEncoding):
        form(kind)


def test_a_compressed_form_is_refused():
    assert form(encoding="Identity").filename is None
    with pytest.raises(UnsupportedEncoding):
        form(encoding="gzip")


def test_a_boundary_that_cannot_be_is_refused():
    with pytest.raises(InvalidRequest):
        form(f"multipart/form-data; boundary={'x' * 300}")


@pytest.mark.parametrize(
    ("data", "kind", "param"),
    [
        (b"nonsense", InvalidRequest, None),
        (whole(part("other", b"x")), UnsupportedParameter, "other"),
        (whole(b"--cut\r\nx-odd: 1\r\n\r\nx\r\n"), UnsupportedParameter, ""),
        (whole(part("color", b"x"), part("color", b"y")), InvalidValue, "color"),
        (whole(part("file", b"x", "a"), part("file", b"y", "b")), InvalidValue, "file"),
        (whole(part("color", b"x" * (FIELD_BYTES_MAX + 1))), RequestTooLarge, "color"),
    ],
)
def test_a_form_that_is_wrong_says_where(data, kind, param):
    read = form()
    with pytest.raises(kind) as caught:
        read.feed(data)
    assert caught.value.param == param


def test_a_form_that_was_cut_off_is_no_form():
    read = form()
    read.feed(GOOD[:-6])
    with pytest.raises(InvalidRequest, match="cut off"):
        read.close()
