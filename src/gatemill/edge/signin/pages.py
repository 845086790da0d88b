"""The pages around signing in. Rule: no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import quote

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --text: #16191d; --soft: #57606a;
  --line: #d5dae0; --act: #1f5fbf; --on: #fff; --bad: #a4161a; }
@media (prefers-color-scheme: dark) { :root { --page: #101317; --card: #191e24; --text: #e8ebef;
  --soft: #9aa5b1; --line: #323a44; --act: #7db2ff; --on: #0b1320; --bad: #ff9a9a; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 .25rem; font-size: 1.375rem; }
p { margin: .25rem 0 1rem; color: var(--soft); }
label { display: block; margin: 1rem 0 .35rem; font-weight: 600; }
input { width: 100%; padding: .6rem .75rem; font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--line); border-radius: .5rem; }
button, .act { display: block; width: 100%; margin-top: 1rem; padding: .65rem .75rem; font: inherit;
  font-weight: 600; text-align: center; text-decoration: none; color: var(--on);
  background: var(--act); border: 1px solid var(--act); border-radius: .5rem; cursor: pointer; }
.other { color: var(--act); background: none; }
a { color: var(--act); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
.bad { color: var(--bad); font-weight: 600; }
code { font-size: .9em; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""
_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
# The address holds a token: no other page hears of it. Browsers still say which site a form comes from.
LINK_HEADERS = {**HEADERS, "referrer-policy": "strict-origin"}


def login(problem: str, *, has_provider: bool, onward_to: str = "") -> str:
    """Where one signs in; `problem` says why it did not work, "" is nothing yet.

    `onward_to` is the page of ours that was asked for; "" is the first one.
    """
    said = f'<p class="bad" role="alert" id="problem">{escape(problem)}</p>' if problem else ""
    bad = ' aria-invalid="true" aria-describedby="problem"' if problem else ""
    asked = f"?next={quote(onward_to, safe='/')}" if onward_to else ""
    provider = (
        f'<a class="act other" href="/ui/login/oidc{asked}">Sign in with your organisation</a>'
        if has_provider
        else ""
    )
    return _page(
        "Sign in",
        f"""<h1>Gatemill</h1>
<p>Sign in with a key that has the scope <code>admin</code> or <code>admin:read</code>.</p>
{said}<form method="post" action="/ui/login">
<input name="username" autocomplete="username" value="gatemill" hidden>
{_next(onward_to)}<label for="key">Key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus
 spellcheck="false" placeholder="gm-…"{bad}>
<button type="submit">Sign in</button>
</form>
{provider}
<p class="hint">No key at hand? <code>gatemill ui</code>, where the gateway runs, prints a link that signs in.
The key of the first start is in <code>dev.key</code> in its data folder.</p>""",
    )


def link(token: str, onward_to: str) -> str:
    """Where a one-time link leads. It is used by the button, so that nobody's preview of it uses it up."""
    return _page(
        "Sign in",
        f"""<h1>Gatemill</h1>
<p>This link signs you in once.</p>
<form method="post" action="/ui/login">
<input type="hidden" name="link" value="{escape(token)}">
{_next(onward_to)}<button type="submit" autofocus>Sign in</button>
</form>""",
    )


def onward(to: str) -> str:
    """After the way back from an identity provider: on to our own page, which then sees the cookie."""
    # A redirect would still count as coming from the provider, and browsers would keep a strict
    # cookie back.
    return _page(
        "Signed in",
        f'<h1>Signed in</h1><p><a href="{escape(to)}">Continue</a></p>',
        f'<meta http-equiv="refresh" content="0;url={escape(to)}">',
    )


def _next(onward_to: str) -> str:
    return f'<input type="hidden" name="next" value="{escape(onward_to)}">' if onward_to else ""


def _page(title: str, body: str, head: str = "") -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} - Gatemill</title>
{head}<style>{_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
