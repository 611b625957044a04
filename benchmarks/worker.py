"""A program that stays alive and is asked for its work, a line of JSON each way; see protocol.hpp."""
import json
import os
import pathlib
import select
import subprocess


class PeerError(Exception):
    """A program that is measured failed, or gave no answer in time. Its message goes on the page."""


class Worker:
    def __init__(self, command, environment, log):
        self.log = pathlib.Path(log)
        self.buffer = b""
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            env=os.environ | environment)

    def send(self, request):
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise PeerError(self.last_words()) from error

    def receive(self, timeout):
        """The next answer; lines that are none, which some libraries print, are passed over."""
        while True:
            line, newline, rest = self.buffer.partition(b"\n")
            if newline:
                self.buffer = rest
                if not line.startswith(b"{"):
                    continue
                answer = json.loads(line)
                if "error" in answer:
                    raise PeerError(answer["error"])
                return answer
            if not select.select([self.process.stdout], [], [], timeout)[0]:
                self.stop()
                raise PeerError(f"no answer within {timeout:.0f} s")
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                raise PeerError(self.last_words())
            self.buffer += chunk

    def ask(self, request, timeout=120):
        self.send(request)
        return self.receive(timeout)

    def peak_megabytes(self):
        """The largest resident size so far."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
        return int(kilobytes) / 1024

    def alive(self):
        return self.process.poll() is None

    def last_words(self):
        return last_words(self.process, self.log)

    def stop(self):
        if self.alive():
            self.process.stdin.close()
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def last_words(process, log):
    """How a process ended, and the last that it wrote to its log."""
    process.wait(timeout=10)
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"exit status {process.returncode}" + (f": {lines[-1]}" if lines else "")
