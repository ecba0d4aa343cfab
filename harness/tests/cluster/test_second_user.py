"""Another user of the machine, while somebody grades: nothing of it is there for him."""
from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from harness.tests.sandbox import NEEDS_SANDBOX
from harness.tests.toys import await_true, command, server, write_exercise

SECOND = 61003
"""A user number that no account and no program has."""
SECRET = f"written-by-the-submission-{uuid.uuid4()}"
PLACES = ("/tmp", "/dev/shm", "/var/tmp", "/run")
WRITES = f"""
for path in (os.environ['JOURNAL'], 'notes', os.environ['TMPDIR'] + '/notes'):
    open(path, 'a').write('{SECRET}\\n')
print('{SECRET}', flush=True); print('{SECRET}', file=sys.stderr, flush=True)
"""
CHECKS = '''
class TestItem1:
    """The only item"""
    item = 1
    def test_waits(self, fixture: Fixture) -> None:
        """It answers, before and after"""
        cluster = fixture.start()
        open("started", "w").close()
        end = time.monotonic() + 30
        while not os.path.exists("go") and time.monotonic() < end:
            time.sleep(0.02)
        assert cluster.client.get("/").status == 200
'''
LOOK = '''
import json, os, socket, sys
places, secret, before = json.loads(sys.argv[1])
found = []
def tried(what, action):
    try:
        action()
    except OSError:
        return
    found.append(what)
def listed():
    unix = {line.split()[7] for line in open("/proc/net/unix") if len(line.split()) > 7}
    tcp = {int(line.split()[1].split(":")[1], 16) for line in open("/proc/net/tcp")
           if line.split()[3] == "0A"}
    return [sorted(unix), sorted(tcp)]
if before is None:
    print(json.dumps(listed()))
    sys.exit()
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if os.stat(f"/proc/{pid}").st_uid == os.getuid():
            continue
    except OSError:
        continue
    tried(f"may signal {pid}", lambda: os.kill(int(pid), 0))
    for file in ("environ", "mem"):
        tried(f"reads {file} of {pid}", lambda: open(f"/proc/{pid}/{file}", "rb").read(1))
    tried(f"sees the descriptors of {pid}", lambda: os.listdir(f"/proc/{pid}/fd"))
for place in places:
    for folder, below, files in os.walk(place):
        below[:] = [one for one in below if not os.path.ismount(os.path.join(folder, one))]
        for file in files:
            path = os.path.join(folder, file)
            try:
                if os.path.isfile(path) and secret in open(path, errors="replace").read(100_000):
                    found.append(f"reads {path}")
            except OSError:
                pass
unix, tcp = listed()
for name in set(unix) - set(before[0]):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        at = "\\0" + name[1:] if name.startswith("@") else name
        tried(f"reaches {name}", lambda: socket.socket(socket.AF_UNIX, kind).connect(at))
for port in set(tcp) - set(before[1]):
    tried(f"reaches port {port}", lambda: socket.create_connection(("127.0.0.1", port), 1))
print(json.dumps(found))
'''


def look(before: object) -> object:
    """What the second user finds; before a grading: the sockets that are there without it."""
    asked = json.dumps([PLACES, SECRET, before])
    done = subprocess.run(["/usr/bin/python3", "-I", "-c", LOOK, asked], user=SECOND, group=SECOND,
                          extra_groups=(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@NEEDS_SANDBOX
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users")
def test_another_user_reaches_nothing_of_a_grading(tmp_path: Path) -> None:
    write_exercise(tmp_path, CHECKS)
    before = look(None)
    words = command(tmp_path, server(tmp_path, WRITES), "-n0")
    grading = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    try:
        assert await_true((tmp_path / "started").exists, 20)
        assert look(before) == []
        (tmp_path / "go").touch()
        said, _ = grading.communicate(timeout=30)
        assert grading.returncode == 0, said
    finally:
        grading.kill()
        grading.wait()
