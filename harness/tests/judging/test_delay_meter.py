"""The machine's delay is measured: waits of threads for a processor, and time that the machine
below takes from a virtual one."""
from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from harness.judging.delay_meter import DelayMeter, Sample, pause_after
from harness.system import processes, scheduling

waits_are_counted = pytest.mark.skipif(not scheduling.run_queue_wait(os.getpid()),
                                       reason="this kernel does not count how long threads wait")


def on_one_processor(program: str) -> subprocess.Popen[bytes]:
    """Start a Python program on the processor that all programs of these tests share."""
    cpu = min(os.sched_getaffinity(0))
    return subprocess.Popen([sys.executable, "-c", program],
                            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))


def spin() -> subprocess.Popen[bytes]:
    return on_one_processor("while True: pass")


def let_run_only_if_idle(pid: int) -> None:
    """The process gets nearly no processor time as long as another one wants the processor."""
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def await_running(pid: int) -> None:
    while not scheduling.processor_time(pid) > 0.1:
        time.sleep(0.01)


def end(*programs: subprocess.Popen[bytes]) -> None:
    for one in programs:
        one.kill()
        one.wait()


def measure(rivals: int, scan: float = 0.0, policy: int = os.SCHED_OTHER) -> float:
    """The delay within a second of a busy program that shares one processor with `rivals` others,
    while each scan takes `scan` seconds."""
    busy = [spin() for _ in range(1 + rivals)]
    os.sched_setscheduler(busy[0].pid, policy, os.sched_param(0))

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
        end(*busy)


@waits_are_counted
@pytest.mark.parametrize("policy", [os.SCHED_OTHER, os.SCHED_BATCH])
def test_a_starved_program_is_noticed(policy: int) -> None:
    assert measure(rivals=3, policy=policy) > 0.5


@waits_are_counted
def test_a_program_that_lets_others_go_first_waits_by_its_own_will() -> None:
    assert measure(rivals=3, policy=os.SCHED_IDLE) < 0.2


@waits_are_counted
def test_a_starved_program_is_noticed_by_slow_scans() -> None:
    """The time that a scan takes itself is no gap in the measurement."""
    assert measure(rivals=3, scan=0.05) > 0.5


@waits_are_counted
def test_a_wait_that_still_lasts_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program has had no processor since the start of the interval: the kernel has counted
    nothing yet."""
    monkeypatch.setattr(scheduling, "lets_others_go_first", lambda *_: False)
    hog, starved = spin(), spin()
    meter = DelayMeter(lambda: [starved.pid])
    meter.start()
    try:
        await_running(starved.pid)
        let_run_only_if_idle(starved.pid)
        start = time.monotonic()
        time.sleep(0.5)
        ended = time.monotonic()
        assert meter.allowance(start, ended) > 0.35
    finally:
        meter.stop()
        end(hog, starved)


@waits_are_counted
def test_a_wait_that_ends_with_the_process_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process gets a processor at last and ends: the kernel's count of its wait is lost."""
    monkeypatch.setattr(scheduling, "lets_others_go_first", lambda *_: False)
    hogs = [spin() for _ in range(3)]
    starved = on_one_processor("sum(range(200_000_000))")
    meter = DelayMeter(lambda: [starved.pid] if processes.alive(starved.pid) else [])
    meter.start()
    try:
        for one in hogs:
            await_running(one.pid)
        let_run_only_if_idle(starved.pid)
        time.sleep(0.5)
        start = time.monotonic()
        starved.terminate()
        starved.wait()
        ended = time.monotonic()
        assert meter.allowance(start, ended) > ended - start - 0.15
    finally:
        meter.stop()
        end(*hogs, starved)


@waits_are_counted
@pytest.mark.parametrize("policy", [os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE])
def test_a_program_that_keeps_itself_waiting_is_not_excused(policy: int) -> None:
    """However many of its own threads spin: nobody else wanted their processor."""
    spinning = [spin() for _ in range(4)]
    meter = DelayMeter(lambda: [one.pid for one in spinning])
    try:
        for one in spinning:
            os.sched_setscheduler(one.pid, policy, os.sched_param(0))
            os.sched_setaffinity(one.pid, os.sched_getaffinity(0))
        time.sleep(0.2)
        meter.start()
        time.sleep(0.15)
        start, before = time.monotonic(), taken_by_others(spinning)
        time.sleep(1)
        others = taken_by_others(spinning) - before
        assert meter.allowance(start, start + 1) < others + 0.2
    finally:
        meter.stop()
        end(*spinning)


def taken_by_others(programs: list[subprocess.Popen[bytes]]) -> float:
    return scheduling.busy() - sum(scheduling.processor_time(one.pid) for one in programs)


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
    end(sleeper)
    assert allowance < 0.25


def test_time_that_the_machine_below_takes_is_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processors were kept from a virtual machine for 0.3 s at once: that is not added up."""
    assert len(scheduling.stolen()) == os.cpu_count()
    taken = [0.0, 0.0]
    monkeypatch.setattr(scheduling, "stolen", lambda: list(taken))
    monkeypatch.setattr(scheduling, "busy", lambda: sum(taken))
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
        waited = 0.01 if 200 <= number < 700 else 0.0
        meter._samples.append(Sample(number / 100, 0.01, 0.0, waited, 0.5, 0.5, True))
    assert meter.allowance(1.0, 8.5) == pytest.approx(5.0, abs=0.1)
    assert meter.allowance(1.0, 8.5, due=8.0) < 0.1


def test_threads_that_wait_at_once_are_not_added_up() -> None:
    meter = DelayMeter(lambda: [])
    for number in range(1, 300):
        waited = 0.64 if number == 100 else 0.0
        meter._samples.append(Sample(number / 100, 0.01, 0.0, waited, 0.5, 0.5, True))
    assert 0.4 < meter.allowance(0.5, 1.5) <= 0.64


@pytest.mark.parametrize(("used", "pause"), [(0.001, 0.05), (0.01, 0.1), (1.0, 0.25)])
def test_scans_take_a_share_and_come_often_enough_all_the_same(used: float, pause: float) -> None:
    assert pause_after(used) == pytest.approx(pause)


def test_a_wait_at_the_start_is_counted_however_long_scans_take() -> None:
    """The longest time between two scans is shorter than the time that counts as near."""
    meter = DelayMeter(lambda: [])
    for number in range(1, 1200):
        waited = 0.3 if number == 125 else 0.0
        meter._samples.append(Sample(number / 100, 0.01, 0.0, waited, 0.5, 0.5, number % 25 == 0))
    assert meter.allowance(1.0, 8.3, due=8.0) == pytest.approx(0.25, abs=0.06)
