#!/usr/bin/env bash
# Every line that mutate_equivalents.txt explains is there: a stale one would stop ./dev mutate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

explained=0
stale=0
while IFS=$'\t' read -r path line; do
  explained=$((explained + 1))
  if [[ $(sed 's/^ *//; s/ *$//' "$path" | grep -cFx -e "$line") == 0 ]]; then
    echo "$path does not have: $line"
    stale=1
  fi
done < <(awk 'BEGIN { RS = ""; FS = "\n" } { print $1 "\t" substr($2, 3) }' tests/mutate_equivalents.txt)

echo "$explained lines"
((explained > 0)) && exit "$stale"
