"""The client tells apart what can become of a request."""
from __future__ import annotations

import socket
import threading
from typing import Iterator

import pytest

from harness.clients import exchange
from harness.clients.http_client import Client, Connection, Reader
from harness.judging.events import EventLog
from harness.judging.verdict import CheckFailed, Inconclusive

WHOLE = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n"
         b'{"worker":1,"pid":77} ')


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def client(listener: socket.socket, behind: float = 0.0) -> Client:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return Client(url, EventLog(), 1, lambda start, end: behind)


def answer_with(listener: socket.socket, *parts: bytes, reset: bool = False) -> None:
    """Serve one connection: read a request, send the parts, close."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            for part in parts:
                peer.sendall(part)
            if reset:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    threading.Thread(target=serve, daemon=True).start()


def test_a_whole_answer(listener: socket.socket) -> None:
    answer_with(listener, WHOLE[:30], WHOLE[30:])
    answer = client(listener).get("/")
    assert (answer.outcome, answer.status, answer.worker, answer.pid) == ("answer", 200, 1, 77)


@pytest.mark.parametrize(("more", "outcome"), [
    (b"H", "answer"), (b"HTT", "answer"), (b"HTTP/1.1 2", "answer"), (b"HTX", "malformed")])
def test_bytes_after_an_answer_may_be_the_beginning_of_another(
        listener: socket.socket, more: bytes, outcome: str) -> None:
    answer_with(listener, WHOLE + more)
    assert client(listener).get("/").outcome == outcome


def test_an_answer_without_length_ends_with_the_connection(listener: socket.socket) -> None:
    answer_with(listener, b"HTTP/1.1 503 -\r\nConnection: close\r\n\r\n{}")
    answer = client(listener).get("/")
    assert (answer.outcome, answer.status, answer.says_close()) == ("answer", 503, True)


@pytest.mark.parametrize(("parts", "reset", "outcome"), [
    ((WHOLE[:-5],), False, "cut"), ((WHOLE[:20],), False, "closed"), ((), False, "closed"),
    ((), True, "reset"), ((b"what?\r\n\r\n",), False, "malformed")])
def test_broken_answers(listener: socket.socket, parts: tuple[bytes, ...], reset: bool,
                        outcome: str) -> None:
    answer_with(listener, *parts, reset=reset)
    assert client(listener).get("/").outcome == outcome


def test_refused(listener: socket.socket) -> None:
    asking = client(listener)
    listener.close()
    assert asking.get("/").outcome == "refused"
    with pytest.raises(CheckFailed, match="no connection"):
        asking.connect()


def test_no_answer_yet(listener: socket.socket) -> None:
    assert client(listener).get("/", patience=0.1).outcome == "waiting"


def test_an_early_answer_to_a_half_request(listener: socket.socket) -> None:
    answer_with(listener, b"HTTP/1.1 408 -\r\nContent-Length: 0\r\n\r\n")
    connection = client(listener).connect()
    assert connection.send_raw(b"GET / HTTP/1.1\r\nHost").wait(5).status == 408
    assert connection.wait_closed(5) is not None


def test_a_connection_that_is_told_to_close_is_not_used_again(listener: socket.socket) -> None:
    answer_with(listener, WHOLE.replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
    connection = client(listener).connect()
    assert connection.usable
    assert connection.get("/").says_close() and not connection.usable
    connection.close()


def test_a_connection_that_takes_over_a_number_is_read(listener: socket.socket,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """The program and the client close a connection at the same time, and the next connection gets
    its file number. Both threads then remove the first connection from the table."""
    reached, go = threading.Event(), threading.Event()

    class Table(dict[int, Connection]):
        def __delitem__(self, number: int) -> None:
            if threading.current_thread() is Reader.shared():
                reached.set()
                go.wait(0.3)
            super().__delitem__(number)

    monkeypatch.setattr(Reader.shared(), "connections", Table(Reader.shared().connections))
    answer_with(listener, WHOLE)
    first = client(listener).connect()
    number = first.socket.fileno()
    assert first.get("/").outcome == "answer" and reached.wait(5)
    first.close()
    opened = [client(listener).connect() for _ in range(30)]  # lower numbers may be free, too
    (second,) = (one for one in opened if one.socket.fileno() == number)
    go.set()
    for _ in opened:
        answer_with(listener, WHOLE)
    assert second.get("/", patience=2).outcome == "answer"
    for one in opened:
        one.close()


def test_no_answer_is_the_programs_fault_only_on_a_machine_that_keeps_up(
        listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client(listener, behind=0.05).get("/", patience=1).outcome == "waiting"
    monkeypatch.setattr(exchange, "ABSURD", 0.01)
    with pytest.raises(Inconclusive, match="the machine was"):
        client(listener, behind=0.05).get("/", patience=1)


def test_bytes_that_are_held_back_are_told_with_the_rest(listener: socket.socket) -> None:
    asked = client(listener)
    asked.connect().send("/task", "POST", b'{"n": 1}', held_back=1)
    (told,) = [event for event in asked.log.all() if event.kind == "request"]
    assert told.data["body"] == '{"n": 1}'
