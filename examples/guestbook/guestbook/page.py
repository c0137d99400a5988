"""The one HTML page."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Guestbook</title>
<style>
  :root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
  body {{ max-width: 40rem; margin: 2rem auto; padding: 0 1rem }}
  input, textarea {{ width: 100%; box-sizing: border-box; font: inherit; margin-bottom: .5rem }}
  li {{ margin: .75rem 0 }} footer, time {{ opacity: .7; font-size: .85rem }}
</style>
<h1>Guestbook</h1>
<form method="post" action="/entries">
  <label>Name <input name="author" required maxlength="80"></label>
  <label>Message <textarea name="message" required maxlength="500" rows="3"></textarea></label>
  <button>Sign</button>
</form>
<ol reversed>
{entries}
</ol>
<footer>{footer}</footer>
</html>
"""
_ENTRY = "  <li><strong>{author}</strong> <time>{written_at:%Y-%m-%d %H:%M} UTC</time><br>{message}</li>"


def render(entries: Iterable[Mapping[str, Any]], *, commit: str, pull_request: str) -> str:
    footer = f"Pull request {pull_request or '-'}, commit {commit[:7] or 'unknown'}"
    return _PAGE.format(entries="\n".join(map(_entry, entries)), footer=html.escape(footer))


def _entry(entry: Mapping[str, Any]) -> str:
    return _ENTRY.format(
        author=html.escape(entry["author"]), message=html.escape(entry["message"]), written_at=entry["written_at"]
    )
