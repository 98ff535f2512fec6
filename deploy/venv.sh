#!/usr/bin/env bash
# Make the virtual environment FOLDER, if it is missing, and install the locked requirements of FILE into it.
set -euo pipefail
folder=$1 file=$2

fail() {
  echo "setup: $*" >&2
  exit 1
}

# The first interpreter of a version that pyproject.toml allows; PYTHON overrides the search.
find_python() {
  local candidates=${PYTHON:-python3.11 python3.12 python3.13 python3} candidate
  for candidate in $candidates; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.11, 3.12 or 3.13 is needed; tried: $candidates; on Debian: apt-get install python3 python3-venv"
}

if [[ ! -x $folder/bin/pip ]]; then
  python=$(find_python)
  mkdir -p "$folder" 2>/dev/null || fail "the folder $folder cannot be made here: check its permissions"
  echo "setup: making $folder with $($python --version)"
  "$python" -m venv --clear "$folder" >"$folder.log" 2>&1 ||
    fail "$python cannot make a virtual environment (on Debian: apt-get install python3-venv): $(tail -n 1 "$folder.log")"
  rm -f "$folder.log"
fi
echo "setup: installing $file (the first time this takes a minute or two)"
"$folder/bin/pip" install --disable-pip-version-check --no-deps --require-hashes -r "$file" ||
  fail "the locked requirements of $file could not be installed: see above"
