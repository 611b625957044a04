"""A user's program that builds, evaluates and trains vgg: its compile time, start-up, peak memory and size, against
libtorch's; and the peak memory of PyTorch's training."""
import dataclasses
import os
import pathlib
import shlex
import subprocess
import time

from programs import DEBIAN_PYTHON, HERE, Program
from rows import missing_row, row
from worker import PeerError, Worker

STEPS = 20
STARTS = 9
COMPILATIONS = 2
# Every C++ program has these; NVIDIA's come with PyTorch from PyPI and have no part in work on a CPU.
NOT_COUNTED = ("libc.so", "libm.so", "libstdc++", "libgcc_s", "ld-linux", "linux-vdso", "libpthread", "libdl.so",
               "librt.so", "/nvidia/")


@dataclasses.dataclass
class Build:
    """How a user's program is made: commands to run in a folder, and what they leave."""
    program: Program
    commands: list
    folder: pathlib.Path
    executable: pathlib.Path


def measure(session):
    session.pool.close()  # their memory and threads are out of the way
    ours = strata_build(session)
    peers = [(program, libtorch_build(session, program)) for program in libtorch_programs(session)]
    builds = [ours] + [build for _, build in peers if build]
    failed = {program: program.missing for program, build in peers if not build}

    yield from compare(session, "compile time of a user's program", ours, builds, failed, compile_all, COMPILATIONS)
    built = [build for build in builds if build.executable.exists()]
    yield from compare(session, "start-up", ours, built, failed, start_up, STARTS)
    yield from compare(session, "peak memory of vgg training", ours, built, failed, peak_memory, 3, unit="MB", batch=64)
    yield from compare(session, "size of a program and its libraries", ours, built, failed, size, 1, unit="MB")
    yield from pytorch_memory(session)


def compare(session, benchmark, ours, builds, failed, measurement, rounds, **fields):
    session.say(f"footprint: {benchmark}")
    values, lost = {}, {}
    for round_ in range(rounds):
        if round_ and not session.left():
            break
        for build in builds:
            if build.program in lost:
                continue
            try:
                values.setdefault(build.program, []).append(measurement(session, build))
            except (PeerError, OSError) as error:
                lost[build.program] = str(error)
    for program, mine in values.items():
        if program != ours.program and program not in lost and ours.program not in lost:
            yield row("footprint", benchmark, program, values[ours.program], mine, **fields)
    fields.pop("unit", None)
    for program, reason in (lost | failed).items():
        yield missing_row("footprint", benchmark, program, reason, **fields)


def compile_all(_session, build):
    start = time.perf_counter()
    for command in build.commands:
        result = subprocess.run(command, cwd=build.folder, capture_output=True, text=True, shell=True,
                                env=os.environ | {"CCACHE_DISABLE": "1"})
        if result.returncode:
            raise PeerError(f"does not compile: {first_error(result.stderr)}")
    return 1e3 * (time.perf_counter() - start)


def first_error(text):
    return next((line for line in text.splitlines() if "error" in line), text.strip()[-200:])


def started(session, build, steps):
    return Worker((str(build.executable), str(steps)), {"OMP_NUM_THREADS": "2", "STRATA_NUM_THREADS": "2"},
                  session.pool.folder / "footprint.log")


def start_up(session, build):
    start = time.perf_counter()
    worker = started(session, build, 0)
    worker.receive(60)
    seconds = time.perf_counter() - start
    worker.stop()
    return 1e3 * seconds


def peak_memory(session, build):
    worker = started(session, build, STEPS)
    worker.receive(120)
    megabytes = worker.peak_megabytes()
    worker.stop()
    return megabytes


def size(_session, build):
    listed = subprocess.run(["ldd", build.executable], capture_output=True, text=True, check=True).stdout
    files = {build.executable.resolve()}
    for line in listed.splitlines():
        path = line.partition("=>")[2].split()[:1]
        if path and path[0].startswith("/") and not any(name in line for name in NOT_COUNTED):
            files.add(pathlib.Path(path[0]).resolve())
    return sum(file.stat().st_size for file in files) / 1e6


def strata_build(session):
    """With the commands by which CMake builds the target, less the library's own."""
    build = session.programs.build
    listed = subprocess.run(["ninja", "-C", str(build), "-t", "commands", "footprint"], capture_output=True, text=True,
                            check=True).stdout
    commands = [line for line in listed.splitlines() if "footprint.dir/footprint/strata.cpp.o" in line]
    return Build(session.programs.strata(), commands, build, session.programs.built("footprint"))


def libtorch_programs(session):
    pytorch, debian = session.programs.pytorch("NCHW"), session.programs.debian_pytorch("NCHW")
    yield dataclasses.replace(pytorch, name="libtorch", library="libtorch")
    headers = pathlib.Path("/usr/include/torch/csrc/api/include").exists()
    yield dataclasses.replace(debian, name="Debian's libtorch", library="Debian's libtorch",
                              missing=debian.missing or ("" if headers else "libtorch-dev is not installed"))


def libtorch_build(session, program):
    if program.missing:
        return None
    source = HERE / "footprint" / "libtorch.cpp"
    executable = session.programs.built("-".join(program.name.replace("'", "").split()))
    if program.command[0] == DEBIAN_PYTHON:
        include, libraries = "-isystem /usr/include/torch/csrc/api/include", "-ltorch_cpu -lc10"
    else:
        where = subprocess.run([program.command[0], "-c", "import torch; print(torch.__path__[0])"],
                               capture_output=True, text=True, check=True).stdout.split()[-1]
        include = f"-isystem {where}/include -isystem {where}/include/torch/csrc/api/include"
        libraries = f"-L{where}/lib -Wl,-rpath,{where}/lib -ltorch_cpu -lc10"
    compiled = shlex.quote(str(executable)) + ".o"
    standard = "c++17" if program.version.startswith("1.") else "c++20"
    return Build(program, [f"c++ -O3 -DNDEBUG -std={standard} {include} -c {source} -o {compiled}",
                           f"c++ {compiled} -o {shlex.quote(str(executable))} {libraries}"],
                 session.programs.build, executable)


def pytorch_memory(session):
    """Python's own share is in it."""
    programs = session.programs
    case = {"task": "train", "network": "vgg", "batch": 64, "threads": 2}

    def peak(program):
        if program.missing:
            raise PeerError(program.missing)
        worker = session.pool.start(program)
        try:
            worker.ask({"case": program.request(case)})
            worker.ask({"calls": STEPS})
            return worker.peak_megabytes()
        finally:
            worker.stop()

    mine = peak(programs.strata())
    peers = [maker(layout) for maker in (programs.debian_pytorch, programs.pytorch)
             for layout in ("NCHW", "channels-last")]
    for peer in peers:
        try:
            yield row("footprint", "peak memory of vgg training", peer, [mine], [peak(peer)], unit="MB", batch=64)
        except PeerError as error:
            yield missing_row("footprint", "peak memory of vgg training", peer, str(error), batch=64)
