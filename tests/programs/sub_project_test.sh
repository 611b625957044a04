#!/usr/bin/env bash
# Builds a user's project of which Strata is a part (FetchContent from a local path), which sets no build type.
#   sub_project_test.sh SOURCE CXX
set -euo pipefail
source=$1 cxx=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "sub_project_test: $*" >&2
  exit 1
}

build=$work/build
cmake -G Ninja -S "$source/tests/consumer" -B "$build" -DCMAKE_CXX_COMPILER="$cxx" -DSTRATA_SOURCE="$source" \
  -DSTRATA_INSTRUCTION_SETS= >"$work/log" 2>&1 || fail "$(cat "$work/log")"
grep -q "Strata: CMAKE_BUILD_TYPE is not set" "$work/log" || fail "it does not say that it optimizes its own sources"
grep -q '^CMAKE_BUILD_TYPE:STRING=$' "$build/CMakeCache.txt" || fail "it set the user's build type"
[[ ! -e $build/compile_commands.json ]] || fail "it wrote compile_commands.json into the user's build"
commands=$(ninja -C "$build" -t commands consumer)
grep -q ' -O3 .*framework/tensor\.cpp' <<<"$commands" || fail "its sources are not optimized"
! grep -q ' -O3 .*consumer\.cpp' <<<"$commands" || fail "the user's sources have options of ours"
! ninja -C "$build" -t targets all | grep -E 'strata_(tests|models)|train_cifar' || fail "tests or examples are built"

cmake --build "$build" >"$work/log" 2>&1 || fail "$(tail -n 50 "$work/log")"
[[ ! -e $(find "$build" -name 'libstrata.so') ]] || fail "the shared library is built though nobody uses it"
(cd "$work" && "$build/consumer") || fail "the program failed"
