"""The machine's delay is measured, and bounds are judged with it."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Callable

import pytest

from harness.cluster import cluster
from harness.cluster.fixture import Fixture
from harness.judging.delay_meter import DelayMeter, Sample, pause_after
from harness.judging.time_bounds import expect_not_before, expect_within, refuse_late
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

SPIN = [sys.executable, "-c", "while True: pass"]


class Behind(DelayMeter):
    """A meter that says what it is told."""

    def __init__(self, delay: float) -> None:
        super().__init__(lambda: [])
        self.delay = delay

    def allowance(self, start: float, end: float, due: float | None = None) -> float:
        return self.delay


def test_in_time_is_in_time() -> None:
    expect_within(Behind(0.0), 1.0, 10.0, 10.9, "it")


def test_late_is_refused() -> None:
    with pytest.raises(CheckFailed, match="took 1100 ms, the bound is 1000 ms"):
        expect_within(Behind(0.05), 1.0, 10.0, 11.1, "it")


def test_late_because_of_the_machine_is_forgiven() -> None:
    expect_within(Behind(0.2), 1.0, 10.0, 11.1, "it")


def test_absurd_delays_judge_nothing() -> None:
    with pytest.raises(Inconclusive):
        expect_within(Behind(9.0), 0.1, 10.0, 18.0, "it")
    with pytest.raises(Inconclusive):
        expect_within(Behind(6.0), 0.1, 10.0, 30.0, "it")
    with pytest.raises(Inconclusive):
        refuse_late(Behind(6.0), 0.1, time.monotonic() - 3, "it")


def test_too_early_is_refused() -> None:
    with pytest.raises(CheckFailed):
        expect_not_before(1.0, 10.0, 10.8, "it")


def measure(rivals: int, scan: float = 0.0) -> float:
    """The delay within a second for a busy program that shares one processor with so many others, with scans that take so long."""
    cpu = min(os.sched_getaffinity(0))
    busy = [subprocess.Popen(SPIN, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})) for _ in range(1 + rivals)]

    def watched() -> list[int]:
        time.sleep(scan)
        return [busy[0].pid]

    meter = DelayMeter(watched)
    try:
        time.sleep(0.2)
        meter.start()
        time.sleep(0.15)
        start = time.monotonic()
        time.sleep(1)
        return meter.allowance(start, start + 1)
    finally:
        meter.stop()
        for one in busy:
            one.kill()
            one.wait()


@pytest.mark.skipif(not processes.run_queue_wait(os.getpid()), reason="this kernel does not count how long threads wait")
def test_a_starved_program_is_noticed() -> None:
    assert measure(rivals=3) > 0.5


@pytest.mark.skipif(not processes.run_queue_wait(os.getpid()), reason="this kernel does not count how long threads wait")
def test_a_starved_program_is_noticed_by_slow_scans() -> None:
    """The time that a scan takes itself is no gap in what is measured."""
    assert measure(rivals=3, scan=0.05) > 0.5


@pytest.mark.skipif(not processes.run_queue_wait(os.getpid()), reason="this kernel does not count how long threads wait")
def test_a_wait_that_lasts_still_is_counted() -> None:
    """A program that has not had a processor since the start of the interval: the kernel has counted nothing yet."""
    cpu = min(os.sched_getaffinity(0))
    hog = subprocess.Popen(SPIN, preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    starved = subprocess.Popen(SPIN, preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    meter = DelayMeter(lambda: [starved.pid])
    meter.start()
    try:
        await_running(starved.pid)
        os.sched_setscheduler(starved.pid, os.SCHED_IDLE, os.sched_param(0))  # nearly nothing, as long as the hog runs
        start = time.monotonic()
        time.sleep(0.5)
        end = time.monotonic()
        assert meter.allowance(start, end) > 0.35
    finally:
        meter.stop()
        for one in (hog, starved):
            one.kill()
            one.wait()


@pytest.mark.skipif(not processes.run_queue_wait(os.getpid()), reason="this kernel does not count how long threads wait")
def test_a_wait_that_ends_with_the_process_is_counted() -> None:
    """It gets a processor at last, ends, and takes what the kernel has counted with it."""
    cpu = min(os.sched_getaffinity(0))
    hogs = [subprocess.Popen(SPIN, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})) for _ in range(3)]
    starved = subprocess.Popen([sys.executable, "-c", "sum(range(200_000_000))"], preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    meter = DelayMeter(lambda: [starved.pid] if processes.alive(starved.pid) else [])
    meter.start()
    try:
        for one in hogs:
            await_running(one.pid)
        os.sched_setscheduler(starved.pid, os.SCHED_IDLE, os.sched_param(0))
        time.sleep(0.5)
        start = time.monotonic()
        starved.terminate()
        starved.wait()
        end = time.monotonic()
        assert meter.allowance(start, end) > end - start - 0.15
    finally:
        meter.stop()
        for one in (*hogs, starved):
            one.kill()
            one.wait()


def await_running(pid: int) -> None:
    while not processes.processor_time(pid) > 0.1:
        time.sleep(0.01)


def test_an_idle_program_has_no_delay() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    meter = DelayMeter(lambda: [sleeper.pid])
    time.sleep(0.3)
    meter.start()
    time.sleep(0.2)
    start = time.monotonic()
    time.sleep(0.5)
    allowance = meter.allowance(start, start + 0.5)
    meter.stop()
    sleeper.kill()
    sleeper.wait()
    assert allowance < 0.25


def test_what_the_machine_below_takes_is_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual machine's processor was kept from it for 0.3 s; what was kept from several at once is not added up."""
    assert len(processes.stolen()) == os.cpu_count()
    taken = [0.0, 0.0]
    monkeypatch.setattr(processes, "stolen", lambda: list(taken))
    meter = DelayMeter(lambda: [])
    meter.start()
    start = time.monotonic()
    time.sleep(0.5)
    taken[:] = [0.3, 0.3]
    time.sleep(0.2)
    try:
        assert 0.3 <= meter.allowance(start, time.monotonic()) < 0.5
    finally:
        meter.stop()


def test_waiting_for_a_timer_is_not_delay() -> None:
    meter = DelayMeter(lambda: [])
    for number in range(1000):
        meter._samples.append(Sample(number / 100, 0.01, 0.0, 0.01 if 200 <= number < 700 else 0.0, scan=True))
    assert meter.allowance(1.0, 8.5) == pytest.approx(5.0, abs=0.1)
    assert meter.allowance(1.0, 8.5, due=8.0) < 0.1


def test_threads_that_wait_at_once_are_not_added_up() -> None:
    meter = DelayMeter(lambda: [])
    meter._samples += [Sample(number / 100, 0.01, 0.0, 0.64 if number == 100 else 0.0, scan=True) for number in range(1, 300)]
    assert 0.4 < meter.allowance(0.5, 1.5) <= 0.64


@pytest.mark.parametrize(("used", "pause"), [(0.001, 0.05), (0.01, 0.1), (1.0, 0.25)])
def test_scans_take_a_share_and_come_often_enough_all_the_same(used: float, pause: float) -> None:
    assert pause_after(used) == pytest.approx(pause)


def test_a_wait_at_the_start_is_counted_however_long_scans_take() -> None:
    """The longest time between scans is short of what counts as near."""
    meter = DelayMeter(lambda: [])
    for number in range(1, 1200):
        meter._samples.append(Sample(number / 100, 0.01, 0.0, 0.3 if number == 125 else 0.0, scan=number % 25 == 0))
    assert meter.allowance(1.0, 8.3, due=8.0) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(("behind", "starts"), [(0.0, False), (60.0, True)])
def test_a_start_may_take_longer_while_the_machine_is_behind(make_fixture: Callable[[str], Fixture], monkeypatch: pytest.MonkeyPatch,
                                                             behind: float, starts: bool) -> None:
    monkeypatch.setattr(cluster, "START_SECONDS", 0.2)
    monkeypatch.setattr(DelayMeter, "allowance", lambda *_: behind)
    fixture = make_fixture("import time; time.sleep(1)")
    if starts:
        assert fixture.start().client.get("/").status == 200
    else:
        with pytest.raises(CheckFailed, match="no ready line after"):
            fixture.start()
    fixture.finish()
