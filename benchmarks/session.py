"""What a part needs to measure: the programs, the workers that are alive, and the time that is left."""
import sys
import time


class Session:
    def __init__(self, programs, pool, layers_file, build):
        self.programs = programs
        self.pool = pool
        self.layers_file = layers_file
        self.build = build
        self.end = 0.0

    def begin(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        """Seconds left to the part."""
        return max(0.0, self.end - time.monotonic())

    def share(self, weights_left):
        """The seconds of the next case, given the weights of the cases to come, its own first."""
        return max(1.0, self.left() * weights_left[0] / sum(weights_left))

    @staticmethod
    def say(text):
        print(text, file=sys.stderr, flush=True)
