#!/bin/sh
# make_venv.sh PYTHON DIRECTORY: a virtual environment, or one clear line about what is missing.
set -u
python=$1 directory=$2

if ! command -v "$python" >/dev/null; then
  echo "$python is not installed: install Python 3.10 or newer, or call make PYTHON=..." >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  echo "$("$python" --version) is too old: Python 3.10 or newer is needed; call make PYTHON=..." >&2
  exit 1
fi
# Debian's python3 without python3-venv fails half-way and leaves a directory without pip.
if ! "$python" -m venv "$directory" >/dev/null 2>&1 || [ ! -x "$directory/bin/pip" ]; then
  rm -rf "$directory"
  if ! "$python" -m virtualenv --quiet "$directory" 2>/dev/null; then
    rm -rf "$directory"
    echo "$python cannot make virtual environments: apt-get install python3-venv, or pip install virtualenv" >&2
    exit 1
  fi
fi
