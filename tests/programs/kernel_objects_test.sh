#!/usr/bin/env bash
# usage: kernel_objects_test.sh OBJECT...
# A function that several objects define, such as an inline one, could be taken from the object for AVX-512 on a
# processor without it. So kernels' objects must define none.
set -euo pipefail
shared=$(nm -AC --defined-only "$@" | grep -E ' [uVvWw] ' | grep -v 'DW.ref.__gxx_personality_v0' || true)
[[ -z $shared ]] && exit 0
echo "kernels' objects define functions that the linker may share:"
echo "$shared"
exit 1
