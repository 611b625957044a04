#!/usr/bin/env bash
# What train_cifar tells a person: on a terminal no line is wider than that, what is undefined is "-", and a
# training that diverges is a failure with the layer's name.
# usage: training_report_test.sh TRAIN_CIFAR
set -euo pipefail

program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
quick=(--dataset synthetic --model quick --threads 2)

fail() {
  echo "training_report_test: $*" >&2
  exit 1
}

# on_terminal COLUMNS ARGUMENT...: leaves what the terminal got in $folder/screen, a line for each rewriting.
on_terminal() {
  local columns=$1
  shift
  script -qec "stty cols $columns; $(printf '%q ' "$program" "$@")" /dev/null </dev/null >"$folder/raw" ||
    fail "$*: $(cat "$folder/raw")"
  tr '\r' '\n' <"$folder/raw" >"$folder/screen"
}

for columns in 80 50; do
  on_terminal $columns "${quick[@]}" --limit 600 --epochs 2 --batch-size 20 --optimizer sgd
  grep -qE '^epoch 1/2  step +[0-9]+/27  loss [0-9.]+ ' "$folder/screen" || fail "no steps: $(cat "$folder/screen")"
  grep -qE '^epoch 2/2  loss [0-9.]+, validation [0-9.]+' "$folder/screen" || fail "no epochs: $(cat "$folder/screen")"
  wide=$(grep '^epoch' "$folder/screen" | awk -v most="$columns" 'length($0) >= most' | head -1)
  [[ -z $wide ]] || fail "wider than $columns columns: '$wide'"
done
on_terminal 80 "${quick[@]}" --limit 600 --epochs 2 --batch-size 20 --optimizer sgd
wide=$(awk 'length($0) > 80' "$folder/screen" | head -1)
[[ -z $wide ]] || fail "wider than 80 columns: '$wide'"
grep -q 'validation .*accuracy [0-9.]*, [0-9.]*' "$folder/screen" || fail "no accuracy: $(cat "$folder/screen")"

# Classes that are never predicted.
"$program" "${quick[@]}" --limit 60 --epochs 1 --lr 0 >"$folder/log"
grep -qE '^[a-z]+ +[0-9.]+ +-$' "$folder/log" || fail "no undefined precision: $(cat "$folder/log")"
! grep -q nan "$folder/log" || fail "$(cat "$folder/log")"

# expect_failure STATUS MESSAGE ARGUMENT...: one line on standard error. Status 1: no epoch was called the best;
# status 2: there was no step.
expect_failure() {
  local expected=$1 message=$2 status=0
  shift 2
  "$program" "${quick[@]}" --limit 60 --epochs 1 "$@" >"$folder/log" 2>"$folder/errors" || status=$?
  ((status == expected)) || fail "$*: expected status $expected, got $status: $(cat "$folder/log")"
  (($(wc -l <"$folder/errors") == 1)) || fail "$*: expected one line, got: $(cat "$folder/errors")"
  grep -qE -- "$message" "$folder/errors" || fail "$*: expected '$message', got: $(cat "$folder/errors")"
  local never='best|accuracy'
  ((expected == 1)) || never=step
  ! grep -qE "$never" "$folder/log" || fail "$* said: $(cat "$folder/log")"
}

expect_failure 1 "train_cifar: epoch 1: evaluation, batch 1: [A-Za-z0-9]+ '[a-z]+\.[0-9]+': the output holds " \
  --lr 1e30 --save "$folder/weights"
[[ ! -e $folder/weights ]] || fail "it saved weights that are not finite"
expect_failure 1 "train_cifar: epoch 1, step [2-9]: " --lr 1e30 --batch-size 10

# Files are tried before the first step.
expect_failure 2 "cannot create" --history "$folder/none/history"
expect_failure 2 "cannot create" --save "$folder/none/weights"
expect_failure 2 "is not a regular file" --history "$folder"
expect_failure 2 "the same file" --history "$folder/a" --save "$folder/a"
mkdir -p "$folder/checkpoints/best.safetensors"
expect_failure 2 "is not a regular file" --checkpoint "$folder/checkpoints"
echo "what train_cifar tells is so, and fits"
