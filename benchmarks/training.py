"""A program that trains for minutes, stopped and resumed from outside, and the time in which it ran."""
import json
import os
import select
import signal
import subprocess
import time

from worker import PeerError, last_words


class Training:
    """The program prints a line of JSON when its clock starts, {"epoch": 0}, and one with its accuracy an epoch.

    `epoch`, `accuracy` and `seconds`, in which it ran from the first line on, are those of its last line.
    """

    def __init__(self, name, command, environment, log, say):
        self.name, self.command, self.environment, self.log, self.say = name, command, environment, log, say
        self.process = None
        self.running = self.ended = False
        self.resumed = 0.0  # when its last turn began
        self.ran = 0.0  # seconds of the turns before
        self.buffer = b""
        self.epoch, self.accuracy, self.start, self.seconds = -1, 0.0, 0.0, 0.0

    def take_turn(self, seconds):
        """Lets the program run for so long, or to its end if that is sooner. Throws PeerError if it failed."""
        self.resume()
        self.read(self.ran + seconds)
        if not self.ended:
            self.stop()
            self.read(0)  # what it wrote just before; its clock stands still

    def resume(self):
        self.running, self.resumed = True, time.perf_counter()
        if self.process:
            os.killpg(self.process.pid, signal.SIGCONT)
            return
        with self.log.open("wb") as errors:
            # A process group of its own, in the runner's session: if the runner is killed, the group is orphaned, and
            # the kernel ends it by SIGHUP if it is stopped.
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=errors, env=os.environ | self.environment, process_group=0)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGSTOP)
        # Until all its threads stand still. It may have ended instead, which the next turn finds.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.stop_clock()

    def clock(self):
        return self.ran + (time.perf_counter() - self.resumed if self.running else 0)

    def stop_clock(self):
        self.ran, self.running = self.clock(), False

    def read(self, end):
        """Takes the lines that come until the clock shows `end`, at least those that are there."""
        output = self.process.stdout
        while not self.ended and select.select([output], [], [], max(0, end - self.clock()))[0]:
            chunk = os.read(output.fileno(), 65536)
            *lines, self.buffer = (self.buffer + chunk).split(b"\n")
            for line in lines:
                self.take_line(line)
            if not chunk:
                self.finish()

    def take_line(self, line):
        if not line.startswith(b"{"):  # some libraries print
            return
        record = json.loads(line)
        self.epoch = record["epoch"]
        if self.epoch == 0:
            self.start = self.clock()
            return
        self.accuracy, self.seconds = record["accuracy"], self.clock() - self.start
        self.say(f"  {self.name}, epoch {self.epoch}: {self.seconds:.0f} s, accuracy {self.accuracy:.4f}")

    def finish(self):
        self.stop_clock()
        self.ended = True
        if self.process.wait(timeout=10):
            raise PeerError(f"{self.name}: {last_words(self.process, self.log)}")

    def kill(self):
        """Ends the program, stopped or not, if it has not ended."""
        if self.process:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process.stdout.close()
