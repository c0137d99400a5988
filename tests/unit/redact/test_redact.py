from __future__ import annotations

import base64
import json
import urllib.parse

import pytest

from k8s_ee import errors, outcome, redact

SECRET = 'p/ss w"rd+1_é'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
    ],
)
def test_a_known_value_is_hidden_in_every_encoding(shown: str) -> None:
    assert redact.Redactor([SECRET]).redact(f"before {shown} after") == "before *** after"


def test_each_line_of_a_value_is_hidden() -> None:
    assert redact.Redactor(["first line\nsecond line\n"]).redact("x second line y") == "x *** y"


def test_the_longer_of_two_values_goes_first() -> None:
    assert redact.Redactor(["secret", "secret-and-more"]).redact("secret-and-more") == "***"


def test_a_value_of_three_letters_is_no_secret() -> None:
    assert redact.Redactor(["app"]).redact("app is up") == "app is up"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ghs_" + "a1" * 18, ""),
        ("ghp_" + "a1" * 18, ""),
        ("github_pat_" + "a1" * 20, ""),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", ""),
        ("postgresql://app:hunter22@db:5432/x", "postgresql://***@db:5432/x"),
        ("https://user:p:w@host/path", "https://***@host/path"),
        ("Authorization: Bearer abcdef", "Authorization: ***"),
        ("authorization: Basic dXNlcjpwdw==", "authorization: ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", ""),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, left: str) -> None:
    assert redact.Redactor().redact(f"log {text} end") == f"log {left or '***'} end"


def test_the_end_of_a_key_is_hidden_where_its_beginning_is_not_there() -> None:
    text = "a line before\nMIIEpAIBAAKC\nZZZZ==\n-----END RSA PRIVATE KEY-----\nand after"
    assert redact.Redactor().redact(text) == "a line before\n***\nand after"


@pytest.mark.parametrize("text", ["http://host:80/path", "a" * 40, "time 10:20:30", "user@host", "nothing at all"])
def test_ordinary_text_stays(text: str) -> None:
    assert redact.Redactor(["secret"]).redact(text) == text


def test_a_report_is_redacted_before_quoting_changes_how_a_secret_looks() -> None:
    result = outcome.Outcome(
        command="up",
        state="failed",
        notes=("note s_cret*",),
        problems=(errors.Problem("f", 1, 1, "found s_cret*", "not s_cret*"),),
        failure=outcome.Failure("message s_cret*", "hint s_cret*", ("line s_cret*",)),
    )
    assert "s_cret" not in repr(redact.Redactor(["s_cret*"]).outcome(result))
