#!/usr/bin/env bash
# Kills train_cifar -9 again and again, resumes it after each kill, and compares the weights it ends with and
# those of a run that was left alone. Every other kill comes at a random moment, the rest while a checkpoint
# is being written. Fails if a byte differs, or if a run resumed from less than the last checkpoint that
# was complete when its predecessor was killed.
# usage: crash_test.sh TRAIN_CIFAR KILLS [SEED]
set -euo pipefail

program=$1 wanted=$2
seed=${3:-$((10#$(date +%N) % 32768))}
RANDOM=$seed

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
checkpoints=$folder/checkpoints

# Dropout, running statistics, augmentation, a schedule, a best model: whatever a checkpoint could forget.
options=(--dataset synthetic --limit 120 --model vgg --epochs 4 --batch-size 12 --augment flip,crop,cutout
  --optimizer adam --schedule plateau --threads 2)

fail() {
  echo "crash_test: $*" >&2
  exit 1
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# The last checkpoint that is complete, or nothing.
newest() {
  local files=("$checkpoints"/step-*.safetensors)
  [[ -e ${files[-1]} ]] && echo "${files[-1]}" || true
}

start=$(milliseconds)
"$program" "${options[@]}" --save "$folder/whole" >"$folder/log"
length=$(($(milliseconds) - start))

kills=0 while_writing=0 resumes=0 lost=0 runs=0
while ((kills < wanted)); do  # a run from its beginning to its end
  rm -rf "$checkpoints" "$folder/final"
  mkdir "$checkpoints"
  while true; do
    before=$(newest)
    : >"$folder/log"  # a process that is killed at once must not leave its predecessor's words here
    "$program" "${options[@]}" --checkpoint "$checkpoints" --checkpoint-every 3 --resume --save "$folder/final" \
      >"$folder/log" 2>"$folder/errors" &
    process=$!
    if ((kills < wanted)); then
      if ((kills % 2)); then
        for ((count = RANDOM % 6; count >= 0; --count)); do  # not always the first that it writes
          until compgen -G "$checkpoints/.step-*.tmp" >/dev/null || ! kill -0 $process 2>/dev/null; do :; done
          ((count == 0)) || until ! compgen -G "$checkpoints/.step-*.tmp" >/dev/null; do :; done
        done
      else
        delay=$((RANDOM * length / 32768))
        sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
      fi
      kill -KILL $process 2>/dev/null || true
    fi
    status=0
    wait $process 2>/dev/null || status=$?
    # What it said before it was killed, if it came so far.
    if said=$(grep -E '^(resumed|no checkpoint)' "$folder/log"); then
      [[ $said != resumed* ]] || ((++resumes))
      [[ ${said##*: } == "${before:-training starts anew}" ]] ||
        { ((++lost)); echo "crash_test: the last checkpoint was '$before', but: $said" >&2; }
    fi
    case $status in
      0) break ;;
      137)
        ((++kills))
        ! compgen -G "$checkpoints/.*.tmp" >/dev/null || ((++while_writing))
        ;;
      *) fail "exit status $status: $(cat "$folder/errors")" ;;
    esac
  done
  ((++runs))
  cmp "$folder/whole" "$folder/final" || fail "run $runs ended with other weights after $kills kills in all"
done
echo "$kills kills ($while_writing while a checkpoint was being written), $resumes resumes, $runs runs;" \
  "final weights identical, $lost lost (seed $seed)"
((lost == 0))
