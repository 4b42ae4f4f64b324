"""Many clients of a page, in a process of their own, so that they slow the server down and not the one who measures.

    python -m tests.askers PORT PATH COUNT

prints `asking` once all threads ask, asks until its standard input ends, waits for the answers to what was asked until
then, and prints how many threads were answered at all.
"""

import contextlib
import http.client
import sys
import threading
import time

PATIENCE_S = 120


def main(port: int, path: str, count: int) -> None:
    """Ask by `count` threads until standard input ends."""
    stop = threading.Event()
    started = threading.Barrier(count + 1)
    answered = [0] * count

    def ask(asker: int) -> None:
        started.wait()
        while not stop.is_set():
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection,
            ):
                connection.request("GET", path)
                connection.getresponse().read()
                answered[asker] += 1

    threads = [threading.Thread(target=ask, args=[asker], daemon=True) for asker in range(count)]
    for thread in threads:
        thread.start()
    started.wait()
    sys.stdout.write("asking\n")
    sys.stdout.flush()
    sys.stdin.read()
    stop.set()
    end = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    sys.stdout.write(f"{sum(times > 0 for times in answered)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
