"""A program that is played with: what the page can do, and who may ask for it.

The picture shows the requests of others, too.
"""
from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from signal import SIGINT
from types import SimpleNamespace
from typing import Any, Callable, Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from harness.cluster.fixture import Fixture
from harness.learner.play import command
from harness.learner.play.page_server import PlayServer
from harness.learner.play.session import Refused, Session
from harness.picture.browser import browser
from harness.picture.report_page import DRAWS_TIMELINES, filled
from harness.telling.perfetto_trace import rows
from harness.tests import toys

PATIENCE = 15.0
JOURNAL = '''
import time
def note(event, **more):
    entry = {"t": time.monotonic(), "role": "worker", "worker": 1, "pid": os.getpid(),
             "event": event, **more}
    with open(os.environ["JOURNAL"], "a") as file:
        print(json.dumps(entry), file=file)
answer = Handler.do_GET
def told(self):
    note("request", method="GET", path=self.path, conn=self.client_address[1])
    answer(self)
    note("response", method="GET", path=self.path, status=200, conn=self.client_address[1])
Handler.do_GET = told
'''
heard: list[str] = []


class Page:
    """What the page's script does."""

    def __init__(self, server: PlayServer) -> None:
        self.server, self.session = server, server.session

    def ask(self, address: str, order: object = None, **headers: str) -> tuple[int, Any]:
        data = None if order is None else json.dumps(order).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, data, {**kind, **headers})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def press(self, what: str, **order: object) -> tuple[int, Any]:
        return self.ask(self.server.address + what, order)

    def state(self) -> Any:
        return self.ask(self.server.address + "state")[1]

    def rows(self, name: str) -> list[dict[str, Any]]:
        return rows(self.state()["picture"], name)


def await_true(condition: Callable[[], object]) -> None:
    assert toys.await_true(lambda: bool(condition()), PATIENCE)


@pytest.fixture
def page(make_fixture: Callable[[str], Fixture]) -> Iterator[Page]:
    heard.clear()
    session = Session(make_fixture(JOURNAL), {"PORT": "0"}, lambda line: heard.append(line.text))
    session.start()
    html = filled("play.html", {"title": "toy"}, (*DRAWS_TIMELINES, "play.js"))
    with PlayServer(session, html) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Page(server)
        server.shutdown()
        thread.join()
    session.end()


def test_signals_reach_the_master_and_it_can_be_started_again(page: Page) -> None:
    first = page.state()
    assert first["running"] and first["exitCode"] is None and page.press("start")[0] == 409
    assert page.press("signal", to=0, name="SIGTERM") == (200, {})
    await_true(lambda: page.state()["exitCode"] == 0)
    assert page.press("signal", to=0, name="SIGTERM") == (409, {"error": "the program has ended"})
    assert page.press("start") == (200, {})
    again = page.state()
    assert again["running"] and again["pid"] != first["pid"]
    assert [mark["what"] for mark in page.rows("marks")] == ["SIGTERM → master"]
    masters = [lane["pid"] for lane in page.rows("lanes") if lane["kind"] == "master"]
    assert masters == [first["pid"], again["pid"]]


def test_what_no_button_does_is_refused(page: Page) -> None:
    refused = page.press("signal", to=7, name="SIGKILL")
    assert refused == (409, {"error": "worker 7 has no process now"})
    assert page.press("signal", to=0, name="SIGSTOP")[0] == 409
    refused = page.press("load", kind="deadly")
    told = "no load is called 'deadly'; there are: gentle, heavy, slow, stop"
    assert refused == (409, {"error": told})
    assert page.press("nothing")[0] == page.press("signal", to="0", name=3)[0] == 404
    assert page.state()["running"]


def test_nobody_else_presses_the_buttons(page: Page) -> None:
    order = {"to": 0, "name": "SIGKILL"}
    root = page.server.address.rsplit("/", 2)[0]
    right = page.server.address + "signal"
    assert page.ask(f"{root}/signal", order)[0] == 404
    assert page.ask(f"{root}/guessed/signal", order)[0] == 404
    assert page.ask(right, order, Host="evil.example")[0] == 404
    assert page.ask(right, order, **{"Content-Type": "text/plain"})[0] == 400
    assert page.ask(f"{root}/guessed/state")[0] == 404
    assert page.state()["running"] and page.server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(("host", "status"), [
    ("localhost:9000", 200), ("127.0.0.1:1", 200), ("[::1]:9000", 200), ("localhost", 200),
    ("localhost.evil.example:9000", 404), ("evil.example", 404), ("127.0.0.1:80x", 404)])
def test_the_page_may_be_forwarded_to_another_port_of_localhost(page: Page, host: str,
                                                                status: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", page.server.server_port,
                                            timeout=PATIENCE)) as connection:
        path = page.server.address.partition(f":{page.server.server_port}")[2]
        connection.request("GET", f"{path}state", headers={"Host": host})
        assert connection.getresponse().status == status


@pytest.mark.parametrize("wanted", ["http", "-1", "65536", "1.5"])
def test_a_port_that_is_none_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAY_PORT", wanted)
    with pytest.raises(Refused, match=f"PLAY_PORT='{re.escape(wanted)}' is not allowed"):
        command.page_port()


def test_the_page_has_the_port_that_was_asked_for(page: Page,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    taken = page.server.server_port
    monkeypatch.setenv("PLAY_PORT", str(taken))
    with pytest.raises(Refused, match=f"PLAY_PORT={taken}: Address already in use"):
        command.serve(page.session, "")
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        free = found.getsockname()[1]
    monkeypatch.setenv("PLAY_PORT", str(free))
    with command.serve(page.session, "") as served:
        assert served.server_port == free


def test_a_load_ends_with_the_program(page: Page) -> None:
    page.press("load", kind="slow")
    page.press("signal", to=0, name="SIGTERM")
    await_true(lambda: not page.state()["running"])
    assert page.state()["load"] == ""


def test_sigusr2_is_for_the_exercise_that_knows_it(page: Page) -> None:
    assert page.press("signal", to=0, name="SIGUSR2")[0] == 409
    assert "SIGUSR2" not in page.state()["toMaster"]


def test_a_load_asks_until_it_is_stopped(page: Page) -> None:
    assert page.press("load", kind="heavy") == (200, {})
    await_true(lambda: len(page.rows("bars")) > 30)
    assert {bar["told"] for bar in page.rows("bars")} <= {"200", "no answer"}
    assert page.state()["load"] == "heavy"
    page.press("load", kind="stop")
    clients = [thread for thread in threading.enumerate() if thread.name.startswith("load-")]
    await_true(lambda: not any(thread.is_alive() for thread in clients))
    assert page.state()["load"] == ""


def test_a_client_looks_whether_its_connection_was_closed_meanwhile(
        make_fixture: Callable[[str], Fixture]) -> None:
    session = Session(make_fixture("Handler.timeout = 0.05"), {"PORT": "0"}, lambda line: None)
    session.start()
    session.ask("gentle")

    def answered() -> list[str]:
        return [event.data.get("told", "") for event in session.fixture.log.all()
                if event.kind == "request" and event.end is not None]

    await_true(lambda: len(answered()) >= 6)
    session.end()
    assert all(": 200 from worker 1" in told for told in answered()), answered()


def test_requests_of_others_are_seen_in_the_journal_and_own_ones_only_once(page: Page) -> None:
    cluster = page.session.cluster
    for _ in range(3):
        assert cluster.client.get("/mine").status == 200
    with urllib.request.urlopen(f"{cluster.url}/theirs?a=b", timeout=PATIENCE) as answer:
        answer.read()
    theirs = ("GET /theirs?a=b", "200")
    await_true(lambda: theirs in [(bar["what"], bar["told"]) for bar in page.rows("bars")])
    assert sorted(bar["what"] for bar in page.rows("bars")) == ["GET /mine"] * 3 + [theirs[0]]


def test_what_is_a_minute_old_is_forgotten(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.session.cluster.client.get("/")
    assert len(page.rows("bars")) == 1
    monkeypatch.setattr("harness.learner.play.last_minute.SPAN", 0.2)
    await_true(lambda: not page.rows("bars"))
    assert [lane["kind"] for lane in page.rows("lanes")] == ["master"]


def test_every_line_is_told_once(page: Page) -> None:
    page.press("signal", to=0, name="SIGTERM")
    await_true(lambda: not page.session.running())
    page.press("start")
    assert [line.partition("=")[0] for line in heard] == ["ready url", "ready url"]


def test_a_program_that_cannot_be_started_again_is_said(page: Page, tmp_path: Path) -> None:
    (tmp_path / "server.py").unlink()
    page.press("signal", to=0, name="SIGTERM")
    await_true(lambda: not page.session.running())
    for _ in range(2):
        code, answer = page.press("start")
        assert code == 409 and "before its ready line" in answer["error"]


def test_of_many_requests_the_newest_are_kept(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.learner.play.last_minute.MOST", 6)
    host = page.session.cluster.url.removeprefix("http://")
    # One connection, so one thread of the program writes the journal: a request behind an answer.
    with closing(http.client.HTTPConnection(host, timeout=PATIENCE)) as connection:
        for _ in range(5):
            connection.request("GET", "/theirs")
            connection.getresponse().read()
    await_true(lambda: len(page.rows("bars")) == 3)


def test_one_thing_at_a_time(page: Page) -> None:
    with pytest.raises(Refused, match="it runs already"):
        page.session.start()


def test_the_page_in_a_browser(page: Page, tmp_path: Path) -> None:
    with browser(tmp_path) as chrome:
        def drawn(selector: str) -> int:
            return len(chrome.find_elements(By.CSS_SELECTOR, f"#picture {selector}"))

        def summary() -> str:
            return chrome.find_element(By.ID, "summary").text

        chrome.get(page.server.address)
        wait = WebDriverWait(chrome, PATIENCE)
        wait.until(lambda _: drawn(".lane-name"))
        chrome.find_element(By.ID, "load-gentle").click()
        wait.until(lambda _: drawn(".bar") >= 4)
        assert chrome.find_element(By.ID, "load-gentle").get_attribute("aria-pressed") == "true"
        chrome.find_element(By.CSS_SELECTOR, '[aria-label="SIGKILL to master"]').click()
        wait.until(lambda _: "ended by signal 9" in summary())
        wait.until(lambda _: drawn(".death") and drawn(".mark"))
        assert chrome.find_element(By.ID, "start").is_enabled()
        chrome.find_element(By.ID, "start").click()
        wait.until(lambda _: page.session.running() and "http://127" in summary())
        assert not chrome.get_log("browser")
        page.server.shutdown()
        page.server.server_close()
        wait.until(lambda _: "has ended" in summary())


def test_the_end_of_the_program_is_told(page: Page, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    """It is told once, with where the program can be started again. A Ctrl+C whose exception was
    lost ends it, too."""
    monkeypatch.setattr(command, "signal", lambda *_: None)
    looks, ctrl_c = 0, command.CtrlC()

    def look(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            assert page.press("signal", to=0, name="SIGKILL") == (200, {})
            await_true(lambda: not page.session.running())
        if looks == 5:
            with suppress(KeyboardInterrupt):
                ctrl_c(SIGINT, None)

    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=look))
    monkeypatch.setattr(page.server, "serve_forever", lambda: None)
    command.play(page.session, page.server, ctrl_c)
    assert capsys.readouterr().out.count("has ended (exit code -9)") == 1
