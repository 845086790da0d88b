"""Requests that no honest client sends, as mutations of a good one.

Each is to be answered once, with a 4xx, and its connection closed; what is hidden in it, or follows
it, is never answered and never done. `Good` is the request that is spoilt, one for each way through
the door.
"""

from __future__ import annotations

from msgspec.structs import replace

from good_request import Good, Vector

LINE_MAX = 40_000  # above any head that is accepted


def framing(good: Good, hidden: bytes) -> list[Vector]:
    """How long is the body? `hidden` is the request that a second reading of it would find."""
    te = b"transfer-encoding: "
    chunks = good.chunks() + hidden
    short = b"0\r\n\r\n" + hidden
    found = [
        ("CL and TE", good.raw(te + b"chunked", body=short)),
        ("TE and CL", good.chunked(te + b"chunked\r\ncontent-length: 5", chunks)),
        ("CL 0 and TE", good.chunked(te + b"chunked\r\ncontent-length: 0", chunks)),
    ]
    obfuscated = {
        "space before colon": b"transfer-encoding : chunked",
        "tab before colon": b"transfer-encoding\t: chunked",
        "vertical tab in value": te + b"\x0bchunked",
        "form feed in value": te + b"\x0cchunked",
        "NUL in value": te + b"chunked\x00",
        "quoted": te + b'"chunked"',
        "x in front": te + b"xchunked",
        "unknown coding": te + b"cow",
        "identity": te + b"identity",
        "chunked, identity": te + b"chunked, identity",
        "identity, chunked": te + b"identity, chunked",
        "gzip, chunked": te + b"gzip, chunked",
        "chunked, gzip": te + b"chunked, gzip",
        "chunked, chunked": te + b"chunked, chunked",
        "comma at the end": te + b"chunked,",
        "comma in front": te + b", chunked",
        "parameter": te + b"chunked;q=1",
        "empty": te,
        "two of them": te + b"chunked\r\n" + te + b"chunked",
        "identity, then chunked": te + b"identity\r\n" + te + b"chunked",
        "chunked, then identity": te + b"chunked\r\n" + te + b"identity",
        "folded": b"transfer-encoding:\r\n chunked",
        "folded by tab": b"transfer-encoding:\r\n\tchunked",
        "behind a bare CR": b"x-a: b\rtransfer-encoding: chunked",
        "behind a bare LF": b"x-a: b\ntransfer-encoding: chunked",
        "non-ASCII name": b"transfer\xadencoding: chunked",
        "in HTTP/1.0's list": te + b"chunked\r\nte: trailers, chunked\r\n" + te + b"identity",
    }
    found += [(f"TE {name}", good.chunked(line, chunks)) for name, line in obfuscated.items()]
    found += [
        (f"TE {name} and CL", good.raw(line, body=short)) for name, line in obfuscated.items()
    ]
    return [Vector(name, data) for name, data in found]


def lengths(good: Good, hidden: bytes) -> list[Vector]:
    """A Content-Length that says something else, or two things."""
    own = b"%d" % len(good.body)
    said = {
        "twice, different": b"%b\r\ncontent-length: 0" % own,
        "twice, the same": b"%b\r\ncontent-length: %b" % (own, own),
        "list of equal ones": b"%b, %b" % (own, own),
        "list of different ones": b"%b,0" % own,
        "plus": b"+" + own,
        "minus": b"-1",
        "hexadecimal": b"0x10",
        "octal-looking letter": b"0o17",
        "exponent": b"1e2",
        "decimals": own + b".0",
        "space inside": b"1 1",
        "words": b"many",
        "empty": b"",
        "underscore inside": b"1_1",
        "digits that are not ASCII": "\uff11\uff11".encode(),
        "NUL at the end": own + b"\x00",
        "comma at the end": own + b",",
        "quoted": b'"%b"' % own,
        "folded": b"\r\n " + own,
        "2 to the 64th": b"18446744073709551616",
        "2 to the 64th and the length": b"%d" % (2**64 + len(good.body)),
        "hundred digits": b"9" * 100,
    }
    found = [
        Vector(
            f"CL {name}",
            good.raw(b"content-length: " + value, without=(b"content-length",)) + hidden,
        )
        for name, value in said.items()
    ]
    for name, line in {
        "space before colon": b"content-length : %b" % own,
        "tab before colon": b"content-length\t: %b" % own,
        "space before name": b" content-length: %b" % own,
    }.items():
        found.append(Vector(f"CL {name}", good.raw(line, without=(b"content-length",)) + hidden))
    for name, value in {"2 to the 63rd": b"%d" % 2**63, "a terabyte": b"1000000000000"}.items():
        data = good.raw(b"content-length: " + value, without=(b"content-length",)) + hidden
        found.append(Vector(f"CL {name}", data, (400, 413)))
    return found


def chunks(good: Good, hidden: bytes) -> list[Vector]:
    """Chunks that are not."""
    size, body = b"%x" % len(good.body), good.body
    said = {
        "size with sign": b"+%b\r\n%b\r\n0\r\n\r\n" % (size, body),
        "negative size": b"-1\r\n%b\r\n0\r\n\r\n" % body,
        "size with 0x": b"0x%b\r\n%b\r\n0\r\n\r\n" % (size, body),
        "size with underscore": b"1_0\r\n%b\r\n0\r\n\r\n" % body,
        "size above 2 to the 64th": b"10000000000000000\r\n%b\r\n0\r\n\r\n" % body,
        "no size": b"\r\n%b\r\n0\r\n\r\n" % body,
        "space before size": b" %b\r\n%b\r\n0\r\n\r\n" % (size, body),
        "space after size": b"%b \r\n%b\r\n0\r\n\r\n" % (size, body),
        "size in other digits": "\uff11\r\n".encode() + body + b"\r\n0\r\n\r\n",
        "data longer than its size": b"1\r\n%b\r\n0\r\n\r\n" % body,
        "LF after size": b"%b\n%b\r\n0\r\n\r\n" % (size, body),
        "LF after data": b"%b\r\n%b\n0\r\n\r\n" % (size, body),
        "CR after size": b"%b\r%b\r\n0\r\n\r\n" % (size, body),
        "CR after data": b"%b\r\n%b\r0\r\n\r\n" % (size, body),
        "nothing after data": b"%b\r\n%b0\r\n\r\n" % (size, body),
        "two characters after data": b"%b\r\n%bxx0\r\n\r\n" % (size, body),
        "LF at the end": b"%b\r\n%b\r\n0\n\n" % (size, body),
        "extension with LF": b"%b;a\nb\r\n%b\r\n0\r\n\r\n" % (size, body),
        "extension with CR": b"%b;a\rb\r\n%b\r\n0\r\n\r\n" % (size, body),
        "extension with NUL": b"%b;a=\x00\r\n%b\r\n0\r\n\r\n" % (size, body),
        "trailer with a space in its name": b"%b\r\n%b\r\n0\r\nx y: z\r\n\r\n" % (size, body),
        "trailer without a colon": b"%b\r\n%b\r\n0\r\nxyz\r\n\r\n" % (size, body),
        "trailer that is a request": b"%b\r\n%b\r\n0\r\n%b" % (size, body, hidden),
        "trailer Content-Length": b"%b\r\n%b\r\n0\r\ncontent-length: 5\r\n\r\n" % (size, body),
        "trailer Transfer-Encoding": b"%b\r\n%b\r\n0\r\ntransfer-encoding: chunked\r\n\r\n"
        % (size, body),
        "trailer Host": b"%b\r\n%b\r\n0\r\nhost: localhost\r\n\r\n" % (size, body),
        "trailer Authorization": b"%b\r\n%b\r\n0\r\nauthorization: Bearer x\r\n\r\n" % (size, body),
    }
    te = b"transfer-encoding: chunked"
    found = [
        Vector(f"chunk {name}", good.chunked(te, data + hidden), (400,))
        for name, data in said.items()
    ]
    bombs = {
        "extension of 100 kB": b"%b;%b\r\n" % (size, b"a" * 100_000),
        "size of 100,000 zeros": b"0" * 100_000 + b"5\r\n",
        "trailers of 100 kB": b"%b\r\n%b\r\n0\r\n%b\r\n" % (size, body, b"x: y\r\n" * 16_000),
        "trailer of 100 kB": b"%b\r\n%b\r\n0\r\nx: %b\r\n\r\n" % (size, body, b"y" * 100_000),
    }
    for name, data in bombs.items():
        found.append(Vector(f"chunk {name}", good.chunked(te, data + hidden), (400, 413, 431)))
    return found


def lines(good: Good, hidden: bytes) -> list[Vector]:
    """Request lines."""
    method, path = good.method, good.path
    said = {
        "HTTP/0.9": b"%b %b" % (method, path),
        "HTTP/0.0": b"%b %b HTTP/0.0" % (method, path),
        "HTTP/1.2": b"%b %b HTTP/1.2" % (method, path),
        "HTTP/1.": b"%b %b HTTP/1." % (method, path),
        "HTTP/1.1.1": b"%b %b HTTP/1.1.1" % (method, path),
        "HTTP/2.0": b"%b %b HTTP/2.0" % (method, path),
        "HTTP/3.0": b"%b %b HTTP/3.0" % (method, path),
        "HTTP/11": b"%b %b HTTP/11" % (method, path),
        "http/1.1": b"%b %b http/1.1" % (method, path),
        "another protocol": b"%b %b RTSP/1.0" % (method, path),
        "version with plus": b"%b %b HTTP/+1.1" % (method, path),
        "words after the version": b"%b %b HTTP/1.1 x" % (method, path),
        "no method": b"%b HTTP/1.1" % path,
        "no target": b"%b HTTP/1.1" % method,
        "two targets": b"%b %b %b HTTP/1.1" % (method, path, path),
        "space in front": b" %b %b HTTP/1.1" % (method, path),
        "two spaces": b"%b  %b HTTP/1.1" % (method, path),
        "tab between": b"%b\t%b HTTP/1.1" % (method, path),
        "vertical tab between": b"%b\x0b%b HTTP/1.1" % (method, path),
        "method in small letters": b"%b %b HTTP/1.1" % (method.lower(), path),
        "unknown method": b"FROB %b HTTP/1.1" % path,
        "method that goes on": b"%bX %b HTTP/1.1" % (method, path),
        "method with a colon": b"%b: %b HTTP/1.1" % (method, path),
        "method with NUL": b"%b\x00 %b HTTP/1.1" % (method, path),
        "method of 100 kB": b"A" * 100_000 + b" %b HTTP/1.1" % path,
        "NUL in target": b"%b %b\x00 HTTP/1.1" % (method, path),
        "CR in target": b"%b %b\r HTTP/1.1" % (method, path),
        "LF in target": b"%b %b\nx HTTP/1.1" % (method, path),
        "escape in target": b"%b %b\x1b[2J HTTP/1.1" % (method, path),
        "DEL in target": b"%b %b\x7f HTTP/1.1" % (method, path),
        "target that is not ASCII": b"%b %b\xc3\xa9 HTTP/1.1" % (method, path),
        "fragment": b"%b %b#x HTTP/1.1" % (method, path),
        "no slash": b"%b %b HTTP/1.1" % (method, path[1:]),
        "asterisk": b"%b * HTTP/1.1" % method,
        "OPTIONS of everything": b"OPTIONS * HTTP/1.1",
        "authority": b"CONNECT 127.0.0.1:22 HTTP/1.1",
        "CONNECT to a path": b"CONNECT %b HTTP/1.1" % path,
        "another host": b"%b http://evil.example%b HTTP/1.1" % (method, path),
        "another port of another host": b"%b http://evil.example:1%b HTTP/1.1" % (method, path),
        "user in the target": b"%b http://127.0.0.1@evil.example%b HTTP/1.1" % (method, path),
        "ftp": b"%b ftp://127.0.0.1%b HTTP/1.1" % (method, path),
        "javascript": b"%b javascript:alert(1) HTTP/1.1" % method,
        "URL without a path": b"%b http://127.0.0.1 HTTP/1.1" % method,
        "URL without a host": b"%b http://%b HTTP/1.1" % (method, path),
    }
    rest = good.raw().partition(b"\r\n")[2]
    # Some of them name what is not served: 404, 405, 421.
    found = [
        Vector(f"line {name}", line + b"\r\n" + rest + hidden, (400, 404, 405, 421, 431))
        for name, line in said.items()
    ]
    return [
        *found,
        Vector("line of 100 kB", b"%b /%b HTTP/1.1\r\n%b" % (method, b"a" * 100_000, rest), (431,)),
    ]


def hosts(good: Good, hidden: bytes) -> list[Vector]:
    """Whom is it for?"""
    port = good.host.rpartition(b":")[2]
    said = {
        "of somebody else": b"evil.example",
        "that begins with ours": b"127.0.0.1.evil.example",
        "that ends with ours": b"evil.127.0.0.1",
        "with a path": good.host + b"/x",
        "with a path and a fragment": b"localhost/#@evil.example",
        "with a query": good.host + b"?x",
        "with a fragment": good.host + b"#x",
        "with a user": b"localhost@evil.example",
        "whose user is somebody else": b"evil.example@localhost",
        "with a backslash": good.host + b"\\@evil.example",
        "with a space": b"localhost evil.example",
        "with a tab": b"localhost\tevil.example",
        "with a comma": b"localhost, evil.example",
        "with a quote": b'"localhost"',
        "with a percent": b"localhost%2eevil.example",
        "with a port of letters": b"localhost:http",
        "with a port above 65535": b"localhost:65536",
        "with a negative port": b"localhost:-1",
        "with two ports": b"localhost:%b:%b" % (port, port),
        "with a port and a path": b"localhost:%b/x" % port,
        "that is a port alone": b":" + port,
        "that is empty": b"",
        "with a dot at its end": b"localhost.",
        "in brackets that stay open": b"[::1",
        "in brackets, and more": b"[::1]evil.example",
        "in brackets, with a zone": b"[::1%25eth0]",
        "that is 0.0.0.0": b"0.0.0.0",
        "that is a number": b"2130706433",
        "that is not ASCII": "localhost\u3002".encode(),
        "with NUL": b"localhost\x00",
        "of 30 kB": b"a" * 30_000,
    }
    found = [
        Vector(f"host {name}", replace(good, host=value).raw() + hidden, (400, 421))
        for name, value in said.items()
    ]
    twice = {
        "twice, the same": b"host: " + good.host,
        "twice, different": b"host: evil.example",
        "and another with a space before the colon": b"host : evil.example",
        "and another folded": b" host: evil.example",
    }
    found += [Vector(f"host {name}", good.raw(line) + hidden) for name, line in twice.items()]
    none = good.raw(without=(b"host",)) + hidden
    old = none.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    return [*found, Vector("no host", none, (400, 421)), Vector("no host, 1.0", old, (400, 421))]


def headers(good: Good, hidden: bytes) -> list[Vector]:
    """Header lines."""
    said = {
        "without a colon": b"x-odd",
        "without a name": b": x",
        "folded": b"x-odd: a\r\n b",
        "folded at the beginning": b" x-odd: a",
        "with a space in its name": b"x odd: a",
        "with a space before the colon": b"x-odd : a",
        "with NUL in its value": b"x-odd: a\x00b",
        "with NUL in its name": b"x\x00odd: a",
        "with CR in its value": b"x-odd: a\rb",
        "with LF in its value": b"x-odd: a\nb",
        "with LF, CR": b"x-odd: a\n\rb: c",
        "with a bell in its value": b"x-odd: \x07",
        "with DEL in its value": b"x-odd: \x7f",
        "with a name that is not ASCII": b"x-\xe9: a",
        "with parentheses in its name": b"x(odd): a",
        "with brackets in its name": b"x[odd]: a",
        "with a quote in its name": b'"x-odd": a',
        "with a slash in its name": b"x/odd: a",
        "Authorization twice": b"authorization: Bearer gm-no-such",
        "x-api-key twice": b"x-api-key: a\r\nx-api-key: b",
        "Content-Type twice": b"content-type: text/plain\r\ncontent-type: text/html",
        "Content-Encoding twice": b"content-encoding: identity\r\ncontent-encoding: identity",
        "Idempotency-Key twice": b"idempotency-key: a\r\nidempotency-key: b",
        "Expect twice": b"expect: 100-continue\r\nexpect: 100-continue",
        "Upgrade twice": b"connection: upgrade\r\nupgrade: websocket\r\nupgrade: h2c",
        "Expect of something else": b"expect: 200-ok",
        "Expect in a list": b"expect: 100-continue, tea",
    }
    found = [
        Vector(f"header {name}", good.raw(line) + hidden, (400, 417)) for name, line in said.items()
    ]
    bombs = {
        "5,000 of them": b"\r\n".join(b"x-%d: y" % n for n in range(5000)),
        "5,000 equal ones": b"\r\n".join([b"x: y"] * 5000),
        "5,000 empty ones": b"\r\n".join([b"x:"] * 5000),
        "one of 40 kB": b"x: " + b"y" * LINE_MAX,
        "one of 1 MB": b"x: " + b"y" * 1_000_000,
        "a name of 40 kB": b"x" * LINE_MAX + b": y",
        "one of 40 kB blanks": b"x:" + b" " * LINE_MAX + b"y",
        "a Cookie of 40 kB": b"cookie: " + b"a=b;" * 10_000,
    }
    found += [
        Vector(f"header bomb, {name}", good.raw(line), (431,)) for name, line in bombs.items()
    ]
    encodings = (
        b"gzip, gzip",
        b"identity, gzip",
        b"gzip;q=1",
        b"br",
        b"zstd",
        b"compress",
        b"cow",
        b",",
    )
    found += [
        Vector(f"coding {name.decode()}", good.raw(b"content-encoding: " + name), (415,))
        for name in encodings
    ]
    return found


def strangers(good: Good, hidden: bytes) -> list[Vector]:
    """What is not HTTP/1.1 at all."""
    whole = good.raw()
    said = {
        "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
        "SSL 2 hello": b"\x80\x2e\x01\x00\x02\x00\x15",
        "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        "proxy protocol 1": b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n" + whole,
        "proxy protocol 2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + whole,
        "SSH": b"SSH-2.0-x\r\n",
        "SMTP": b"EHLO x\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "Memcached": b"stats\r\n",
        "RTSP": b"DESCRIBE rtsp://x RTSP/1.0\r\ncseq: 1\r\n\r\n",
        "zeros": bytes(1000),
        "noise": bytes(range(256)),
        "BOM": b"\xef\xbb\xbf" + whole,
        "LF alone": whole.replace(b"\r\n", b"\n", whole.count(b"\r\n")),
        "CR alone": whole.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\r") + b"\r\r",
        "LF after the line alone": whole.replace(b"\r\n", b"\n", 1),
        "CR CR LF": whole.replace(b"\r\n", b"\r\r\n"),
    }
    # RTSP has the same form, and names a host.
    return [Vector(f"stranger {name}", data + hidden, (400, 421)) for name, data in said.items()]


def vectors(good: Good, hidden: bytes) -> list[Vector]:
    """All of them, for one way through the door."""
    parts = (framing, lengths, chunks, lines, hosts, headers, strangers)
    return [vector for part in parts for vector in part(good, hidden)]
