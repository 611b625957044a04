#!/usr/bin/env bash
# train_cifar is stopped by a signal and goes on to the bits of an uninterrupted run; and what it cannot do
# ends with status 2 and one line on standard error.
# usage: stop_test.sh TRAIN_CIFAR
set -euo pipefail

program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
options=(--dataset synthetic --limit 120 --epochs 4 --augment flip,crop --threads 2)

fail() {
  echo "stop_test: $*" >&2
  exit 1
}

# Starts it, and waits until it trains.
start() {
  : >"$folder/log"  # what the program before it said must not count
  "$program" "${options[@]}" --resume "$@" >"$folder/log" 2>"$folder/errors" &
  process=$!
  until grep -qE '^(resumed|no checkpoint)' "$folder/log"; do
    kill -0 $process || fail "$(cat "$folder/errors")"
  done
}

expect_status() {
  local status=0
  wait $process || status=$?
  ((status == $1)) || fail "expected status $1, got $status: $(cat "$folder/log" "$folder/errors")"
}

"$program" "${options[@]}" --batch-size 12 --save "$folder/whole" >/dev/null
for signal in INT TERM; do
  start --batch-size 12 --checkpoint "$folder/$signal" --save "$folder/final"
  kill -$signal $process
  expect_status 130
  grep -qE '^stopped after [0-9]+ steps; --resume goes on' "$folder/log" || fail "said: $(cat "$folder/log")"
  [[ ! -e $folder/final ]] || fail "it saved weights although it was stopped"
  start --batch-size 12 --checkpoint "$folder/$signal" --save "$folder/final"
  expect_status 0
  cmp "$folder/whole" "$folder/final" || fail "after SIG$signal the weights differ"
  rm "$folder/final"
done

# The second does not wait for the step, which is long here.
start --batch-size 108 --checkpoint "$folder/at_once"
kill -INT $process
while kill -INT $process 2>/dev/null; do :; done
expect_status 130
! grep -q '^stopped' "$folder/log" || fail "the second signal came too late"

# A damaged checkpoint is set aside for the one before it.
newest=("$folder"/INT/step-*.safetensors)
newest=${newest[-1]}
truncate -s -1 "$newest"
start --batch-size 12 --checkpoint "$folder/INT" --save "$folder/final"
expect_status 0
grep -q "^note: set aside: '$newest'" "$folder/log" || fail "said: $(cat "$folder/log")"
[[ -e $newest.damaged ]] || fail "$newest is not set aside"
cmp "$folder/whole" "$folder/final" || fail "after a damaged checkpoint the weights differ"

# A note, not an error: other bits may come out.
STRATA_INSTRUCTION_SET=generic "$program" "${options[@]}" --batch-size 12 --checkpoint "$folder/TERM" --resume \
  >"$folder/log"
grep -qE "^note: the instruction_set of the checkpoint is '.*', here it is 'generic'" "$folder/log" ||
  [[ $(uname -m) != x86_64 ]] || fail "no note of the instruction set: $(cat "$folder/log")"

expect_error() {
  local message=$1 status=0
  shift
  "$program" "$@" >/dev/null 2>"$folder/errors" || status=$?
  ((status == 2)) || fail "$*: expected status 2, got $status"
  (($(wc -l <"$folder/errors") == 1)) || fail "$*: expected one line, got: $(cat "$folder/errors")"
  grep -qF -- "$message" "$folder/errors" || fail "$*: expected '$message', got: $(cat "$folder/errors")"
}

taken=("${options[@]}" --checkpoint "$folder/INT" --resume)
expect_error "its option.model is 'vgg', here it is 'resnet'" "${taken[@]}" --batch-size 12 --model resnet
expect_error "its cutout is '0', here it is '8'" "${taken[@]}" --batch-size 12 \
  --augment cutout
expect_error "its batch_size is '12', here it is '13'" "${taken[@]}" --batch-size 13
expect_error "its seed is '0', here it is '1'" "${taken[@]}" --batch-size 12 --seed 1
expect_error "is ahead of this run" "${options[@]}" --batch-size 12 --checkpoint "$folder/INT"
expect_error "--resume requires --checkpoint" "${options[@]}" --resume
expect_error "cannot create" "${options[@]}" --save "$folder/none/weights"
expect_error "cannot create the folder" "${options[@]}" --checkpoint /proc/none
expect_error "not expected: --unknown" --unknown
expect_error "needs --data" --dataset cifar10
expect_error "$folder" --dataset cifar10 --data "$folder"
for file in "$folder"/INT/step-*.safetensors; do : >"$file"; done
expect_error "no checkpoint can be read" "${taken[@]}" --batch-size 12
echo "stopped, resumed, refused as promised"
