"""The programs that are measured: Strata's own and the peers that are installed here."""
import dataclasses
import functools
import os
import pathlib
import re
import subprocess

from worker import PeerError, Worker

HERE = pathlib.Path(__file__).resolve().parent
DEBIAN_PYTHON = "/usr/bin/python3"

# Freed memory goes back to the C library's own lists and not to the system.
TUNED_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}


@dataclasses.dataclass(frozen=True)
class Program:
    """`library` says whose it is, `name` adds the setting; `case` holds what the setting adds to a request."""
    name: str
    library: str
    command: tuple = ()
    version: str = ""
    case: tuple = ()
    environment: tuple = ()
    missing: str = ""  # why it cannot be measured here

    def request(self, case):
        return case | dict(self.case)


class Programs:
    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.environment_python = str(
            pathlib.Path(os.environ.get("STRATA_PEERS") or HERE.parent / "build" / "peers").resolve() / "bin" / "python")

    def strata(self, threads=None):
        """Strata with the case's number of threads, or with its own."""
        name = f"Strata, {threads} thread{'s' if threads > 1 else ''}" if threads else "Strata"
        return Program(name, "Strata", (str(self.built("network")),), case=(("threads", threads),) if threads else ())

    def strata_doing(self, task, name):
        """Strata at another task than the case's."""
        return Program(name, "Strata", (str(self.built("network")),), case=(("task", task),))

    def strata_avx2(self):
        """Strata with AVX2's kernels, where it would use AVX-512's."""
        missing = "" if "avx512f" in pathlib.Path("/proc/cpuinfo").read_text() else "no AVX-512 here"
        return Program("Strata, AVX2", "Strata", (str(self.built("network")),),
                       environment=(("STRATA_INSTRUCTION_SET", "avx2"),), missing=missing)

    def built(self, name):
        return self.build / "benchmarks" / name

    def debian_pytorch(self, layout, tuned_malloc=False):
        return self._pytorch("Debian's PyTorch", DEBIAN_PYTHON, layout, False, tuned_malloc)

    def pytorch(self, layout, compiled=False, tuned_malloc=False):
        """The newest, from the environment that ./dev peers makes."""
        return self._pytorch("PyTorch", self.environment_python, layout, compiled, tuned_malloc)

    def any_pytorch(self, layout):
        """The newest, or Debian's where there is no newer."""
        newest = self.pytorch(layout)
        return self.debian_pytorch(layout) if newest.missing else newest

    def _pytorch(self, library, python, layout, compiled, tuned_malloc):
        name = f"{library}, {layout}" + (", compiled" if compiled else "") + (", tuned malloc" if tuned_malloc else "")
        version, missing = python_package(python, "torch")
        environment = dict(TUNED_MALLOC) if tuned_malloc else {}
        if compiled:  # what is compiled once is kept
            environment["TORCHINDUCTOR_CACHE_DIR"] = str(self.build.parent / "inductor")
        return Program(name, library, (python, str(HERE / "peers" / "pytorch.py")), version,
                       (("layout", layout), ("compile", compiled)), tuple(environment.items()), missing)

    def onnx_runtime(self):
        version, missing = python_package(self.environment_python, "onnxruntime")
        missing = missing or python_package(self.environment_python, "onnx")[1]
        return Program("ONNX Runtime", "ONNX Runtime", (self.environment_python, str(HERE / "peers" / "onnx_runtime.py")),
                       version, missing=missing)

    def tiny_dnn(self):
        return self._built_peer("tiny-dnn", "peer_tiny_dnn", "tiny-dnn")

    def dlib(self):
        return self._built_peer("dlib", "peer_dlib", "libdlib-dev")

    def _built_peer(self, name, executable, package):
        path = self.build / "benchmarks" / "peers" / executable
        missing = "" if path.exists() else "not installed; ./dev peers does"
        return Program(name, name, (str(path),), debian_version(package), missing=missing)


@functools.lru_cache(maxsize=None)
def python_package(python, package):
    """(version, why it is missing)."""
    if not pathlib.Path(python).exists():
        return "", "not installed; ./dev peers does"
    result = subprocess.run([python, "-c", f"import {package}; print({package}.__version__)"], capture_output=True,
                            text=True)
    if result.returncode:
        return "", f"{python} cannot import {package}"
    return result.stdout.split()[-1].partition("+")[0], ""


@functools.lru_cache(maxsize=None)
def debian_version(package):
    result = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return re.sub(r"[+~-].*", "", result.stdout) if result.returncode == 0 else ""


class Pool:
    """Workers that stay alive from case to case: to load PyTorch alone takes seconds."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.workers = {}

    def worker(self, program):
        if program.missing:
            raise PeerError(program.missing)
        worker = self.workers.get(program)
        if worker is None or not worker.alive():
            worker = self.workers[program] = self.start(program)
        return worker

    def start(self, program):
        return Worker(program.command, dict(program.environment), self.log(program.name))

    def log(self, name):
        return self.folder / (re.sub(r"\W+", "-", name) + ".log")

    def close(self):
        for worker in self.workers.values():
            worker.stop()
        self.workers.clear()
