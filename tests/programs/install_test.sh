#!/usr/bin/env bash
# Installs a build and uses it as a user's project would: by find_package, static and shared, and by pkg-config. Checks
# what is installed, what the shared library shows, how large it is and what a program of it needs.
#   install_test.sh BUILD SOURCE CXX
set -euo pipefail
build=$1 source=$2 cxx=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "install_test: $*" >&2
  exit 1
}

cmake --install "$build" --prefix "$work/first" > "$work/log" || fail "$(cat "$work/log")"
mv "$work/first" "$work/installed" # an installed tree may be moved
include=$work/installed/include
library=$(find "$work/installed" -name libstrata.so)
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)

echo "-- headers: nothing internal, and each compiles alone"
! find "$include" | grep -E '/(kernels|fusion)/' || fail "internal headers are installed"
alone=("$cxx" -std=c++20 "${warnings[@]}" -I "$include")
xtensor=$include/strata/framework/xtensor.hpp # precompiled: most of the time goes into it
"${alone[@]}" -w -x c++-header "$xtensor" -o "$xtensor.gch"
find "$include" -name '*.hpp' -print0 | sort -z | xargs -0 -P "$(nproc)" -I HEADER \
  "${alone[@]}" -include "$xtensor" -include HEADER -fsyntax-only -x c++ /dev/null
rm "$xtensor.gch"

echo "-- symbols of the shared library: strata's only"
symbols=$(nm -D --defined-only "$library" | awk '{print $3}')
grep -q '^_ZN6strata' <<< "$symbols" || fail "no symbol of strata"
! grep -vE '^(_ZT[VTIS]|_ZTh[n0-9]*_|_ZTv[n0-9_]*_|_ZGV|_ZGVZ|_Z|_ZZ)NK?6strata' <<< "$symbols" ||
  fail "symbols of others are exported"
! grep -E '^_ZNK?6strata7kernels' <<< "$symbols" || fail "kernels are exported"

# A function template needs STRATA_EXPORT of its own: which of the hidden ones are in a public header?
hidden=$(nm "$library" | awk '$2 == "t" {print $3}' | grep -oE '^_ZN6strata[0-9]+[a-z_0-9]+I[fd]E' |
  sed -E 's/^_ZN6strata[0-9]+([a-z_]+)I[fd]E$/\1/' | grep -xE '[a-z_]+' | sort -u)
for name in $hidden; do
  ! grep -rnE --include='*.hpp' --exclude-dir=reference "^[A-Za-z].*\b$name\([^()]*,?\)?.*[;,]$" "$include/strata" ||
    fail "$name is declared in a public header, but not exported"
done

echo "-- what the shared library needs"
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
! grep -vE '^(libopenblas|libtbb|libz|libstdc\+\+|libm|libgcc_s|libc|ld-linux[a-z0-9-]*)\.so' <<< "$needed" ||
  fail "needs another library"
readelf -d "$library" | grep -q 'SONAME.*libstrata\.so\.[0-9]' || fail "no version in its name"

use() { # use NAME PROGRAM
  (cd "$work" && "$2" "$work/weights.safetensors") || fail "the program of $1 failed"
}
for kind in static shared; do
  echo "-- find_package, $kind"
  cmake -S "$source/tests/consumer" -B "$work/$kind" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_PREFIX_PATH="$work/installed" -DSTRATA_KIND=$kind -DCMAKE_CXX_STANDARD=20 > "$work/log" ||
    fail "$(cat "$work/log")"
  cmake --build "$work/$kind" > "$work/log" 2>&1 || fail "$(cat "$work/log")"
  use $kind "$work/$kind/consumer"
done
readelf -d "$work/shared/consumer" | grep -q 'NEEDED.*libstrata' || fail "COMPONENTS shared gave the static library"
! readelf -d "$work/static/consumer" | grep -q 'NEEDED.*libstrata' || fail "COMPONENTS static gave the shared library"
! cmake -S "$source/tests/consumer" -B "$work/wrong" -DCMAKE_PREFIX_PATH="$work/installed" -DSTRATA_KIND=plastic \
  > "$work/log" 2>&1 || fail "a component that does not exist was found"

export PKG_CONFIG_PATH=${library%/*}/pkgconfig
by_pkg_config() { # by_pkg_config KIND OPTION...
  echo "-- pkg-config, $1, C++23"
  "$cxx" -std=c++23 -O1 "${warnings[@]}" "$source/tests/consumer/consumer.cpp" -o "$work/by-$1" "${@:2}"
  use "pkg-config, $1" "$work/by-$1"
}
# shellcheck disable=SC2046
by_pkg_config shared $(pkg-config --cflags --libs strata) "-Wl,-rpath,${library%/*}"
rm "${library%/*}"/libstrata.so*
# shellcheck disable=SC2046
by_pkg_config static $(pkg-config --static --cflags --libs strata)
echo "all passed"
