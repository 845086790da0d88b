"""Secrets that the guards were tuned on.

Rule: nobody measures recall with these; the set that is measured on was never seen while tuning.
A bar, ¦, breaks the marks of secrets, so that no scanner takes this file for a leak; it is taken out.
"""

from __future__ import annotations

# (kind, text, the part that is found)
SECRETS = [
    ("provider_key", "OPENAI_API_KEY=sk¦-proj-Ab3dEf6hIj9kLmN0pQrStUv2wXyZ_4a-7", None),
    ("provider_key", "sk¦-Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7bC9dEfGh1jKlMnO3q", None),
    ("provider_key", "sk¦-ant-api03-Ab3dEf6hIj9kLmN0pQrStUv2wXyZ-4a7_AA", None),
    ("provider_key", "sk¦-or-v1-0123456789abcdef0123456789abcdef", None),
    ("provider_key", "key AIza¦SyD3Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7 here", None),
    ("provider_key", "aws AKIA¦IOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("provider_key", "ASIA¦QWERTYUIOPASDFGH", "ASIAQWERTYUIOPASDFGH"),
    (
        "provider_key",
        'aws_secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPx¦RfiCYEXAMPLEKEY1"',
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1",
    ),
    ("provider_key", "ghp¦_Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7bC9dE", None),
    ("provider_key", "git clone with gho¦_Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7bC9dE", None),
    ("provider_key", "github¦_pat_11ABCDEFG0abcdefghijkl_MnOpQrSt", None),
    ("provider_key", "glpat¦-Ab3dEf6hIj9kLmN0pQrS", "glpat-Ab3dEf6hIj9kLmN0pQrS"),
    ("provider_key", "xoxb¦-123456789012-Ab3dEf6hIj9kLmN0", "xoxb-123456789012-Ab3dEf6hIj9kLmN0"),
    ("provider_key", "sk¦_live_Ab3dEf6hIj9kLmN0pQrStUv2", "sk_live_Ab3dEf6hIj9kLmN0pQrStUv2"),
    ("provider_key", "hf¦_AbcdEfghIjklMnopQrstUvwxYz012345", None),
    ("provider_key", "gsk¦_Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7bC9dEfGh1jKlMnO3q", None),
    ("provider_key", "gm¦-k1a2b3c4-Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7bC9dEfGh1jKl", None),
    ("provider_key", "SG¦.Ab3dEf6hIj9kLmN0pQrStU.v2wXyZ4a7bC9dEfGh1jKlMnO3qRsT5uVwXyZ", None),
    ("provider_key", "twilio SK¦0123456789abcdef0123456789abcdef", None),
    ("provider_key", "npm¦_Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7bC9dE", None),
    (
        "provider_key",
        "pypi¦-AgEIcHlwaS5vcmcCJGFiM2RlZjZoSWo5a0xtTjBwUXJTdFV2MndYeVo0YTdiQzlk",
        None,
    ),
    ("provider_key", "bot 123456789:AA¦Hb3dEf6hIj9kLmN0pQrStUv2wXyZ4a7bC", None),
    ("provider_key", "hvs¦.CAESIAb3dEf6hIj9kLmN0pQrStUv2", None),
    ("provider_key", "dop¦_v1_" + "0123456789abcdef" * 4, None),
    ("provider_key", "Der Schlüssel lautet sk¦-0123456789abcdef0123456789abcdef, danke", None),
    (
        "token",
        "eyJ¦hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_X",
        None,
    ),
    ("provider_key", 'api_key = "a1B2c3D4e5F6g7H8i9J0"', "a1B2c3D4e5F6g7H8i9J0"),
    ("provider_key", "X-API-Key: 0123456789abcdef0123456789abcdef", None),
    ("provider_key", "MISTRAL_API_KEY=Ab3dEf6hIj9kLmN0pQrStUv2wXyZ4a7b", None),
    ("provider_key", '"client_secret": "8Q~aB3dEf6hIj9kLmN0pQrStUv2"', None),
    (
        "provider_key",
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;",
        None,
    ),
    (
        "provider_key",
        "https://hooks.slack.com/services/T0000¦0000/B00000000/q7Rk2Lm9Vt4Babcd1234Zw8P",
        None,
    ),
    ("provider_key", "Mein Schlüssel lautet a1B2c3D4e5F6g7H8i9J0", "a1B2c3D4e5F6g7H8i9J0"),
    ("provider_key", "ghp¦_abcdefghijklmnopqrstuvwxyzABCDEFGHIJ", None),
    ("provider_key", "sk¦-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV", None),
    ("token", "Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz"),
    ("password", "postgres://admin:password@db.internal:5432/prod", "password"),
    ("password", "password: hunter2!", "hunter2"),
    ("password", "Das Passwort lautet Sommer2026!", "Sommer2026"),
    ("password", "Server=db;User=sa;Password=P4ssword9;", None),
    ("password", '"password": "c0rrect-horse"', "c0rrect-horse"),
    ("token", "Authorization: Bearer a1b2c3d4e5f6g7h8", "a1b2c3d4e5f6g7h8"),
    ("token", "curl -H 'authorization: bearer AbCdEfGhIjKlMnOpQrSt'", "AbCdEfGhIjKlMnOpQrSt"),
    ("password", "postgres://app:s3cr3t-Pa55@db.example.com/app", "s3cr3t-Pa55"),
    ("password", "https://user:hunter2@example.com/x", "hunter2"),
    ("password", "redis://:Zx81spectrum@cache:6379/0", "Zx81spectrum"),
    ("password", "Authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
    (
        "private_key",
        "-----BEGIN¦ RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq1w2e3r4==\n-----END¦ RSA PRIVATE KEY-----\nthanks",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq1w2e3r4==\n-----END RSA PRIVATE KEY-----",
    ),
    ("private_key", "x -----BEGIN¦ PRIVATE KEY-----\nMIIEvQIBADAN", None),
    ("private_key", "-----BEGIN¦ OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r", None),
    ("private_key", "-----BEGIN¦ PGP PRIVATE KEY BLOCK-----\n\nlQOYBF", None),
]


def plain(text: str) -> str:
    """Without the bars."""
    return text.replace("¦", "")
