"""What stands for a warm Python (see lab/warm.py): it hands over, passes signals on, and ends as the other does.

Not imported: it is copied into the folder of each, and begins in a few milliseconds; pathlib alone would take as long.
"""

# ruff: noqa: PTH100, PTH109, PTH115, PTH120, S606

import marshal
import os
import signal
import socket
import sys

SERVED = ("-m pip list", "-u -m pulumi.dynamic", "pulumi-language-python-exec")
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def main() -> None:
    folder = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
    arguments = sys.argv[1:]
    if not any(words in " ".join(arguments) for words in SERVED):
        real = os.readlink(f"{folder}/bin/real")
        os.execv(real, [real, *arguments])
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(f"{folder}/socket")
        request = marshal.dumps((arguments, dict(os.environ), os.getcwd()))
        socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(request)
        pid = int.from_bytes(server.recv(4), "big")
        for number in SIGNALS:
            signal.signal(number, lambda number, _: os.kill(pid, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        # Its output is the other's alone: who reads it waits for its end.
        for file in (0, 1, 2):
            os.close(file)
        # Nothing is said where whoever waits for work has ended, and all others with it.
        said = server.recv(4)
        status = int.from_bytes(said, "big") if said else signal.SIGKILL
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        if ended_by in SIGNALS:
            signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)
    os._exit(os.WEXITSTATUS(status))


main()
