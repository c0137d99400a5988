"""What the app promises. With DATABASE_URL set (an empty database) also what it does with PostgreSQL."""

import datetime
import http.client
import json
import os
import threading
import unittest

from guestbook import migrate, page, store, web

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
DATABASE_URL = os.environ.get("DATABASE_URL", "")


class Served(unittest.TestCase):
    url = NOWHERE

    def setUp(self) -> None:
        entries = store.Store(self.url)
        self.server = web.Server(("127.0.0.1", 0), entries=entries, version={"commit": "c0ffee0", "pr": "7"})
        thread = threading.Thread(target=self.server.serve_forever, args=[0.01])
        thread.start()
        for step in (entries.close, self.server.server_close, thread.join, self.server.shutdown):
            self.addCleanup(step)

    def request(self, method: str, path: str, body: object = None, kind: str = "application/json") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        self.addCleanup(connection.close)
        data = body if isinstance(body, str) else json.dumps(body)
        connection.request(method, path, body=data if body is not None else None, headers={"Content-Type": kind})
        response = connection.getresponse()
        return response.status, response.read().decode()


class WithoutDatabase(Served):
    def test_it_says_which_commit_it_is(self) -> None:
        status, body = self.request("GET", "/version")
        self.assertEqual((status, json.loads(body)), (200, {"commit": "c0ffee0", "pr": "7"}))

    def test_it_is_not_healthy(self) -> None:
        self.assertEqual(self.request("GET", "/health")[0], 503)

    def test_an_unknown_path_is_not_found(self) -> None:
        self.assertEqual(self.request("GET", "/nothing")[0], 404)

    def test_an_unusable_entry_never_reaches_the_database(self) -> None:
        messages = [{}, {"message": ""}, {"message": "m" * 501}, {"message": "\0"}, {"message": "\ud800"}]
        for body in ([], "{", *({"author": "Ada"} | message for message in messages)):
            with self.subTest(body=body):
                self.assertEqual(self.request("POST", "/entries", body)[0], 400)

    def test_a_body_that_is_too_long_is_refused(self) -> None:
        self.assertEqual(self.request("POST", "/entries", "x" * (web.LONGEST_BODY + 1))[0], 413)


class Page(unittest.TestCase):
    def test_what_people_write_is_escaped(self) -> None:
        entry = {"author": "<b>", "message": "{x} & <script>", "written_at": datetime.datetime(2026, 1, 2)}
        text = page.render([entry], commit="c0ffee0123", pull_request="7")
        self.assertIn("<strong>&lt;b&gt;</strong>", text)
        self.assertIn("{x} &amp; &lt;script&gt;", text)
        self.assertIn("Pull request 7, commit c0ffee0", text)


@unittest.skipUnless(DATABASE_URL, "DATABASE_URL is not set")
class WithDatabase(Served):
    url = DATABASE_URL

    def setUp(self) -> None:
        with store.connect(self.url) as connection:
            migrate.migrate(connection)
            connection.execute("TRUNCATE entries")
        super().setUp()

    def test_migrating_again_changes_nothing(self) -> None:
        with store.connect(self.url) as connection:
            self.assertEqual(migrate.migrate(connection), [])

    def test_it_is_healthy(self) -> None:
        self.assertEqual(self.request("GET", "/health"), (204, ""))

    def test_an_entry_is_kept(self) -> None:
        status, body = self.request("POST", "/entries", {"author": " Ada ", "message": "Bonjour, 世界"})
        self.assertEqual(status, 201)
        self.assertEqual(json.loads(self.request("GET", "/entries")[1]), [json.loads(body)])
        self.assertEqual(json.loads(body)["author"], "Ada")

    def test_the_form_leads_back_to_the_page(self) -> None:
        kind = "application/x-www-form-urlencoded"
        self.assertEqual(self.request("POST", "/entries", "author=Ada&message=%3Cb%3E", kind)[0], 303)
        self.assertIn("&lt;b&gt;", self.request("GET", "/")[1])

    def test_it_outlives_its_connections(self) -> None:
        self.request("GET", "/health")
        with store.connect(self.url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        self.assertEqual(self.request("POST", "/entries", {"author": "Ada", "message": "still here"})[0], 201)
