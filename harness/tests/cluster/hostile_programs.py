"""Programs that harm other programs: each is the toy server with one bad habit, which it ends by
itself after some time."""
from __future__ import annotations

from dataclasses import dataclass

START = "cluster = fixture.start()"
GET = START + '''
        answer = cluster.client.get("/", patience=2)
        if answer.outcome != "answer" or not answer.json:
            raise CheckFailed(str(answer))'''
LINGER = START + '''
        cluster.wait_exit(45)'''
END = START + '''
        signalled = cluster.signal(Signals.SIGTERM)
        cluster.expect_exit(0, signalled, 1)
        cluster.expect_nothing_left(signalled, 1)'''


@dataclass(frozen=True)
class Hostile:
    name: str
    extra: str
    """Lines of Python that are put before the server."""
    steps: str
    """The statements of the check."""
    reason: str
    """A pattern that the failure's message matches."""
    isolated: bool = True
    """Whether it does its harm in a sandbox, too."""


def once_ready(action: str) -> str:
    """Do this when the server has printed its ready line."""
    lines = "".join(f"    {line}\n" for line in action.strip().splitlines())
    return ("import time\n"
            "def act():\n"
            "    time.sleep(0.3)\n"
            f"{lines}"
            "threading.Thread(target=act, daemon=True).start()\n")


def answers(raw: str, then: str = "pass") -> str:
    """Answer each request with these bytes."""
    return ("import time\n"
            "def answer(self):\n"
            f"    self.wfile.write({raw})\n"
            f"    {then}\n"
            "Handler.do_GET = answer\n")


FORKS = '''
for _ in range(3000):
    try:
        if os.fork() == 0:
            DETACH
            signal.alarm(30)
            signal.pause()
    except OSError:
        time.sleep(0.01)
'''
DAEMON = '''
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.dup2(os.open("/dev/null", os.O_RDWR), number)
        words = [sys.executable, "-c", "import time; time.sleep(60)", __file__]
        os.execve(sys.executable, words, {})
    os._exit(0)
os.wait()
'''
FILES = '''
import tempfile
for _ in range(64):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(bytes(8 << 20))
time.sleep(50)
'''
MANY_FILES = '''
for number in range(40000):
    open(f"file{number}", "w").close()
time.sleep(50)
'''
THREADS = '''
threading.stack_size(32768)
for _ in range(20000):
    try:
        threading.Thread(target=time.sleep, args=(40,), daemon=True).start()
    except RuntimeError:
        time.sleep(0.01)
'''
MEMORY = '''
kept = []
for _ in range(96):
    kept.append(b"x" * (32 << 20))
    time.sleep(0.02)
time.sleep(50)
'''
MEMORY_OF_MANY = '''
for _ in range(12):
    if os.fork() == 0:
        kept = b"x" * (256 << 20)
        signal.alarm(30)
        signal.pause()
    time.sleep(0.1)
'''
SOCKETS = '''
import socket
for _ in range(8):
    if os.fork() == 0:
        kept = [socket.socket() for _ in range(800)]
        signal.alarm(30)
        signal.pause()
time.sleep(50)
'''
NESTED = '''
for _ in range(20000):
    os.mkdir("folder")
    os.chdir("folder")
time.sleep(50)
'''
IGNORE_ALL = '''
for number in range(1, 32):
    if number not in (9, 17, 19):
        signal.signal(number, signal.SIG_IGN)
'''
HEAD = "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
BODY = '{"worker": 1, "pid": 1}'
TOO_MUCH = r"wrote \d+ MiB to its output; it was ended at 512 MiB"
TOO_MANY = r"had \d+ processes at once"

PROGRAMS = [
    Hostile("prints-a-gigabyte",
            once_ready("for _ in range(1024): os.write(1, (b'x' * 1023 + b'\\n') * 1024)\n"
                       "time.sleep(50)"), LINGER, TOO_MUCH),
    Hostile("prints-a-line-without-end",
            once_ready("for _ in range(1024): os.write(2, b'x' * (1 << 20))\n"
                       "time.sleep(50)"), LINGER, TOO_MUCH),
    Hostile("forks-in-a-loop", once_ready(FORKS.replace("DETACH", "pass")), LINGER, TOO_MANY),
    Hostile("forks-in-a-loop-each-on-its-own", once_ready(FORKS.replace("DETACH", "os.setsid()")),
            LINGER, TOO_MANY),
    Hostile("starts-threads-in-a-loop", once_ready(THREADS), LINGER,
            r"had \d+ threads at once; it was ended at 4096"),
    Hostile("takes-memory-in-a-loop", once_ready(MEMORY), LINGER,
            r"took \d+ MiB of memory; it was ended at 2048 MiB"),
    Hostile("takes-memory-in-many-processes", once_ready(MEMORY_OF_MANY), LINGER,
            r"took \d+ MiB of memory; it was ended at 2048 MiB"),
    Hostile("opens-sockets-in-a-loop", once_ready(SOCKETS), LINGER,
            r"had \d+ sockets at once; it was ended at 5000"),
    Hostile("nests-folders-without-end", once_ready(NESTED), LINGER, "made more than 10000 files"),
    Hostile("ignores-all-signals", IGNORE_ALL, END, "the end of the master"),
    Hostile("closes-its-output",
            "os.closerange(1, 3)\n"
            "sys.stdout = sys.stderr = open(os.devnull, 'w')\n", START, "no ready line"),
    Hostile("leaves-a-daemon", DAEMON, END,
            r"no process may be left, but there is \d+ .*time\.sleep\(60\)"),
    Hostile("fills-its-folder", once_ready(FILES), LINGER, r"wrote \d+ MiB into its TMPDIR"),
    Hostile("makes-many-files", once_ready(MANY_FILES), LINGER, "made more than 10000 files"),
    Hostile("kills-its-parents-group",
            once_ready("os.killpg(os.getpgid(os.getppid()), 9)\n"
                       "time.sleep(50)"), LINGER, "killed its parent", isolated=False),
    Hostile("stops-its-parent",
            once_ready("os.kill(os.getppid(), signal.SIGSTOP)\n"
                       "time.sleep(50)"), LINGER, "stopped its parent", isolated=False),
    Hostile("claims-a-port-that-cannot-be",
            "print('ready url=http://127.0.0.1:99999 workers=1 pid=1', flush=True)", GET,
            "the ready line says"),
    Hostile("answers-without-end",
            answers(f"b'{HEAD}\\r\\n'", "while True: self.wfile.write(b'x' * 65536)"), GET,
            "a body of more than 8 MiB"),
    Hostile("answers-without-end-slowly",
            answers(f"b'{HEAD}\\r\\n'", "while True: self.wfile.write(b'x'); time.sleep(0.05)"),
            GET, "no whole answer within .* it began with status 200"),
    Hostile("length-too-large", answers(f"b'{HEAD}Content-Length: 99\\r\\n\\r\\n{BODY}'"), GET,
            "no whole answer within"),
    Hostile("length-too-small", answers(f"b'{HEAD}Content-Length: 9\\r\\n\\r\\n{BODY}'"), GET,
            "longer than its Content-Length says"),
    Hostile("length-negative", answers(f"b'{HEAD}Content-Length: -1\\r\\n\\r\\n{BODY}'"), GET,
            "not valid HTTP .*Content-Length"),
    Hostile("two-lengths",
            answers(f"b'{HEAD}Content-Length: 23\\r\\nContent-Length: 24\\r\\n\\r\\n{BODY}'"), GET,
            "not valid HTTP .*Content-Length"),
    Hostile("ten-megabytes-of-headers", answers(f"b'{HEAD}' + b'X-Long: y\\r\\n' * 1000000"), GET,
            "head of the answer is longer than 64 KiB"),
    Hostile("nested-without-end",
            answers(f"b'{HEAD}Content-Length: 200000\\r\\n\\r\\n' + b'[' * 200000"), GET,
            "GET /: 200"),
]
