#!/usr/bin/env bash
# Whatever is wrong with arguments, files or the environment: every program ends with status 2 and one line on
# standard error that says what.
# usage: bad_input_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail

programs=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
  echo "bad_input_test: $*" >&2
  exit 1
}

# expect_error MESSAGE PROGRAM ARGUMENT...
expect_error() {
  local message=$1 program=$2 status=0
  shift 2
  timeout 100 "$programs/$program" "$@" >/dev/null 2>"$folder/errors" || status=$?
  ((status == 2)) || fail "$program $*: expected status 2, got $status: $(cat "$folder/errors")"
  (($(wc -l <"$folder/errors") == 1)) || fail "$program $*: expected one line, got: $(cat "$folder/errors")"
  grep -qF -- "$message" "$folder/errors" || fail "$program $*: expected '$message', got: $(cat "$folder/errors")"
  [[ $(cat "$folder/errors") == "$program: "* ]] || fail "$program $*: unsigned: $(cat "$folder/errors")"
}

for program in train_cifar check_layers norm_matters; do
  expect_error "not expected: --unknown" $program --unknown
  expect_error "not expected: surplus" $program surplus
  "$programs/$program" --help >/dev/null || fail "$program --help: expected status 0"
done
expect_error "--epochs: expected a number above 0, got 'many'" norm_matters --epochs many
expect_error "--samples: Value 1 not in range" norm_matters --samples 1
expect_error "Could not convert: --seed" check_layers --seed x
for program in train_cifar check_layers norm_matters; do
  STRATA_NUM_THREADS=none expect_error "STRATA_NUM_THREADS must be a number from 1 to " $program
  STRATA_INSTRUCTION_SET=abacus expect_error "STRATA_INSTRUCTION_SET: expected generic, avx2 or avx512" $program
done

train() { expect_error "$1" train_cifar "${@:2}"; }
train "--model" --model none
train "set_num_threads: expected a number from 1 to " --dataset synthetic --threads 10000
train "--lr: expected a number of at least 0, got '-1'" --lr -1
train "--lr: expected a number of at least 0, got 'fast'" --lr fast
train "--epochs: expected a number above 0, got '0'" --epochs 0
train "epochs must be at most" --dataset synthetic --epochs 99999999999999999999
train "--batch-size: expected a number above 0, got '0'" --batch-size 0
train "--augment" --augment flip,flop
train "--keep requires --checkpoint" --keep 2
train "needs --data" --dataset cifar10
train "$folder/none" --dataset cifar10 --data "$folder/none"
train "$folder/none" --data "$folder/none"

# Data that is cut, empty, a folder, or not what its name says.
mkdir "$folder/idx" "$folder/cifar"
for file in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  printf '\0\0\10\3\0\0\0\2\0\0\0\2\0\0\0\2pixelsof' | gzip >"$folder/idx/$file-ubyte.gz"
  truncate -s -9 "$folder/idx/$file-ubyte.gz"
done
train "the file is truncated" --data "$folder/idx"
: >"$folder/cifar/data_batch_1.bin"
train "expected whole records" --dataset cifar10 --data "$folder/cifar"
head -c 3073 /dev/zero | tr '\0' '\377' >"$folder/cifar/data_batch_1.bin"
train "label 255 of image 0 is outside [0, 10)" --dataset cifar10 --data "$folder/cifar"
rm "$folder/cifar/data_batch_1.bin"
mkdir "$folder/cifar/data_batch_1.bin"
train "expected a file, got a folder" --dataset cifar10 --data "$folder/cifar"

# A checkpoint that is cut, that has a flipped bit, or that is none.
options=(--dataset synthetic --limit 40 --model quick --batch-size 12 --epochs 1 --threads 2)
"$programs/train_cifar" "${options[@]}" --checkpoint "$folder/good" --save "$folder/saved" >/dev/null
good=("$folder"/good/step-*.safetensors)
for damage in cut flipped weights text; do
  mkdir "$folder/$damage"
  file=$folder/$damage/${good##*/}
  cp "$good" "$file"
  case $damage in
    cut) truncate -s -1 "$file" ;;
    flipped)
      last=$(tail -c 1 "$file" | od -An -tu1)
      truncate -s -1 "$file"
      printf "\\$(printf %o $((last ^ 1)))" >>"$file"
      ;;
    weights) cp "$folder/saved" "$file" ;;
    text) echo "not a file of tensors, but a text" >"$file" ;;
  esac
done
resume() { train "$1" "${options[@]}" --resume --checkpoint "$folder/$2"; }
resume "the file is cut" cut
resume "is damaged: expected contents with the checksum" flipped
resume "is not a checkpoint" weights
resume "expected a header of at most" text
train "cannot create" "${options[@]}" --save "$folder/none/weights"
train "is not a regular file" "${options[@]}" --save "$folder"
train "cannot create the folder" "${options[@]}" --checkpoint /proc/none
train "cannot" "${options[@]}" --history "$folder/none/history"
echo "every bad input got status 2 and one line"
