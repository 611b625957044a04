#!/usr/bin/env python3
"""Do the tests notice a small fault in the library?

Makes N random changes, one at a time, to the sources of layers/ and optim/: a flipped sign, another operator, a bound
or a constant off by one. Each is built in a copy of the sources below build/mutate and the tests run against it, those
first whose file has a word of its name in common with the changed file's. A change that no test notices is a survivor.
What does not compile, or compiles to the same code, is no change and does not count.

tests/mutate_equivalents.txt explains changes that no test could notice, as they change no result. Exits with 1 if fewer
than nine of ten of the others are noticed.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "build/mutate"
BUILD = COPY / "build/mutate"
TESTS = BUILD / "tests/strata_tests"
COPIED = ["framework", "layers", "optim", "include", "tests", "cmake", "strata.hpp", "CMakeLists.txt", "CMakePresets.json",
          "README.md"]
MUTATED = ["layers", "optim"]
EQUIVALENTS = ROOT / "tests/mutate_equivalents.txt"
MOST_INCLUDING = 5  # tests' files to be compiled again; the public headers, which have more, are passed over
SHARDS = os.cpu_count()
MEMORY = 8 << 30  # bytes of address space for each test process

# The code is formatted: a binary operator stands between spaces, a template's brackets do not.
OPERATORS = {
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
    "+=": ["-="], "-=": ["+="], "*=": ["/="], "/=": ["*="],
    "<": ["<=", ">"], "<=": ["<", ">"], ">": [">=", "<"], ">=": [">", "<"], "==": ["!="], "!=": ["=="],
    "&&": ["||"], "||": ["&&"], "&": ["|"], "|": ["&"], "^": ["&"], "<<": [">>"], ">>": ["<<"],
}
WORDS = {"std::min": ["std::max"], "std::max": ["std::min"], "true": ["false"], "false": ["true"]}
NUMBER = r"(?<![\w.'])\d+(?:\.\d+)?(?:e-?\d+)?(?=f?\b)(?![.'x])"
CHANGES = [
    (r"(?<=\s)(?:[-+*/<>]=?|[=!]=|[%^]|&&?|\|\|?|<<|>>)(?=\s)", OPERATORS.get),
    (r"\b(?:std::min|std::max|true|false)\b", WORDS.get),
    (r"(?<=[\s({\[])[-!](?=[\w(*])", lambda _: [""]),
    (NUMBER, lambda text: [str(number(text) + 1)] + ([str(number(text) - 1)] if number(text) else [])),
]

# Comments, literals, what only declares, instantiates or makes a text; and what changes no result: grains (how much
# work is worth a thread), sizes of caches (as in Index{1} << 16) and prefetching.
PASSED_OVER = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|^\s*#[^\n]*'
    r"|^\s*(?:template|namespace|using)\b[^\n]*|\bstatic_assert\b[^;]*;|\)[\w ]* = 0;"
    r'|\breturn\b[^;{}]*"[^;]*;'
    r"|\bthrow [^;]*;|\bfail_shapes?\([^;]*;|\breserve\([^;]*;"
    r"|\b(?:kG|g|\w+_g)rain = [^;]*;|Index\{\d+\} << \d+|\blook_ahead\([^;]*;", re.M | re.S)


def number(text):
    return float(text) if re.search("[.e]", text) else int(text)


class Mutant:
    def __init__(self, path, text, begin, end, replacement):
        self.path, self.original = path, text
        self.text = text[:begin] + replacement + text[end:]
        self.line = text.count("\n", 0, begin) + 1
        self.before, self.after = (each.splitlines()[self.line - 1].strip() for each in (self.original, self.text))

    def key(self):
        return self.path, self.before, self.after

    def __str__(self):
        return f"{self.path}:{self.line}\n- {self.before}\n+ {self.after}"


def mutants_of(path):
    text = (COPY / path).read_text()
    code = PASSED_OVER.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    for pattern, replacements in CHANGES:
        for found in re.finditer(pattern, code):
            for replacement in replacements(found[0]):
                yield Mutant(path, text, found.start(), found.end(), replacement)


def explained():
    """The reasons in the file of equivalents, by (path, line before, line after)."""
    reasons = {}
    for block in filter(None, EQUIVALENTS.read_text().strip().split("\n\n")):
        path, before, after, *reason = block.splitlines()
        if before[2:] not in (line.strip() for line in (COPY / path).read_text().splitlines()):
            sys.exit(f"mutate: {EQUIVALENTS.name} explains a line that {path} does not have: {before[2:]}")
        reasons[path, before[2:], after[2:]] = "\n".join(reason)
    return reasons


def update_copy():
    """Makes the copy equal to the sources, and touches only what differs, so that little is built again."""
    wanted = {}
    for part in COPIED:
        for source in [ROOT / part, *(ROOT / part).rglob("*")]:
            if source.is_file():
                wanted[COPY / source.relative_to(ROOT)] = source.read_bytes()
    for part in COPIED:
        for path in (COPY / part).rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
    for path, content in wanted.items():
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def build():
    command = ["cmake", "--build", BUILD, "--target", "strata_tests", "--parallel", str(SHARDS)]
    return subprocess.run(command, capture_output=True, text=True)


def binary():
    return hashlib.sha256(TESTS.read_bytes()).digest()


class Suite:
    """The tests, and in which order a changed file asks for them."""

    def __init__(self):
        deps = subprocess.run(["ninja", "-C", BUILD, "-t", "deps"], check=True, capture_output=True, text=True).stdout
        self.includes = {}  # by a test's file: those of the headers that it includes
        for block in deps.split("\n\n"):
            if found := re.match(r"tests/CMakeFiles/strata_tests\.dir/(\S+)\.o:", block):
                self.includes[f"tests/{found[1]}"] = set(re.findall(r"/strata/(\S+)", block))
        with tempfile.TemporaryDirectory() as folder:
            if subprocess.run([TESTS, f"--gtest_output=json:{folder}/times"], stdout=subprocess.DEVNULL).returncode:
                sys.exit("mutate: the tests fail without any change")
            times = json.loads(pathlib.Path(folder, "times").read_text())
        self.tests = [(f"{suite['name']}.{test['name']}", os.path.relpath(BUILD / test["file"], COPY),
                       float(test["time"][:-1])) for suite in times["testsuites"] for test in suite["testsuite"]]

    def including(self, header):
        return sum(header in headers for headers in self.includes.values())

    def groups(self, path):
        """The tests whose file shares a word with the path, those of the same folder and the properties, and all others
        that include something of that folder; what does not include it cannot call it."""
        folder, groups = pathlib.Path(path).parts[0], [[], [], []]
        for test in self.tests:
            file = pathlib.Path(test[1])
            if any(header.startswith(folder) for header in self.includes[test[1]]):
                near = file.parts[1] in (folder, "properties")
                groups[0 if words(path) & words(file) else 1 if near else 2].append(test)
        return filter(None, groups)

    def failure(self, path):
        """What noticed a change of this file: a test's name, a limit or a signal. None if nothing did."""
        return next(filter(None, map(run, self.groups(path))), None)


def words(path):
    return set(re.findall(r"[a-z]{3,}", pathlib.Path(path).name)) - {"cpp", "hpp", "simd"}


def run(tests):
    """Runs the tests in a few processes; returns the first failure."""
    seconds = sum(time for _, _, time in tests)

    def limit():
        allowed = int(10 + 5 * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryDirectory() as scratch:
        shards = []
        for shard in range(SHARDS):
            environment = {**os.environ, "TMPDIR": scratch, "GTEST_FILTER": ":".join(name for name, _, _ in tests),
                           "GTEST_TOTAL_SHARDS": str(SHARDS), "GTEST_SHARD_INDEX": str(shard)}
            with open(f"{scratch}/output-{shard}", "w") as output:
                shards.append(subprocess.Popen([TESTS, "--gtest_fail_fast", "--gtest_brief=1"], cwd=scratch,
                                               stdout=output, stderr=output, env=environment, preexec_fn=limit))
        try:
            deadline = time.monotonic() + 60 + 20 * seconds  # for a deadlock, which uses no processor time
            while all(shard.poll() in (None, 0) for shard in shards) and any(shard.poll() is None for shard in shards):
                if time.monotonic() > deadline:
                    return "(deadlock)"
                time.sleep(0.02)
            failed = next((i for i, shard in enumerate(shards) if shard.poll()), None)
        finally:
            for shard in shards:
                shard.kill()
                shard.wait()
        if failed is None:
            return None
        output = pathlib.Path(scratch, f"output-{failed}").read_text(errors="replace")
        test = re.search(r"\[  FAILED  \] ([^ ,\n]+)", output)
        status = shards[failed].returncode
        return test[1] if test else f"(status {status})" if status > 0 else f"({signal.Signals(-status).name})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    parser.add_argument("--only", default="", metavar="PART", help="change only files whose path has this in it")
    options = parser.parse_args()

    os.environ["MALLOC_PERTURB_"] = "1"  # glibc fills new memory with large numbers, as in tests/CMakeLists.txt
    update_copy()
    reasons = explained()
    subprocess.run(["cmake", "--preset", "mutate"], cwd=COPY, check=True, stdout=subprocess.DEVNULL)
    if (built := build()).returncode != 0:
        sys.exit(built.stdout + built.stderr)
    unchanged, suite = binary(), Suite()

    paths = sorted(str(path.relative_to(COPY)) for part in MUTATED for path in (COPY / part).rglob("*.[ch]pp"))
    mutants = [mutant for path in paths if options.only in path and suite.including(path) <= MOST_INCLUDING
               for mutant in mutants_of(path)]
    random.Random(options.seed).shuffle(mutants)
    print(f"{len(mutants)} possible changes, seed {options.seed}", flush=True)

    killed, survivors = 0, []
    for mutant in mutants:
        if killed + len(survivors) == options.count:
            break
        (COPY / mutant.path).write_text(mutant.text)
        counts = build().returncode == 0 and binary() != unchanged
        failed = suite.failure(mutant.path) if counts else None
        (COPY / mutant.path).write_text(mutant.original)
        if not counts:
            continue
        if failed:
            killed += 1
        else:
            survivors.append(mutant)
        print(f"{f'killed by {failed}' if failed else 'SURVIVED'}: {mutant}", flush=True)

    for mutant in survivors:
        print(f"\nsurvivor: {mutant}\n{reasons.get(mutant.key(), '  NOT EXPLAINED')}")
    equivalent = sum(mutant.key() in reasons for mutant in survivors)
    total = killed + len(survivors)
    if total == equivalent:
        sys.exit("mutate: nothing to notice")
    share = killed / (total - equivalent)
    print(f"\n{killed} of {total} noticed; {equivalent} of the {len(survivors)} survivors are explained as equivalent; "
          f"{100 * share:.1f} % of the others noticed")
    sys.exit(0 if share >= 0.9 else 1)


if __name__ == "__main__":
    main()
