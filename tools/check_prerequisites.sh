#!/usr/bin/env bash
# What `make` needs before it can make the virtual environment: Python with venv, a C and a C++
# compiler. Installs what is missing on Debian and Ubuntu.
set -euo pipefail
python=$1
needed=()
command -v cc >/dev/null && command -v c++ >/dev/null || needed+=(build-essential)
if ! command -v "$python" >/dev/null; then
  needed+=(python3 python3-venv python3-dev)
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  needed+=("python$version-venv")
fi
if [ ${#needed[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "Please install what these Debian packages hold: ${needed[*]}" >&2
    exit 1
  fi
  "$(dirname "$0")/install_system_packages.sh" "${needed[@]}"
fi
"$python" - <<'PYTHON'
import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "Python 3.10 to 3.13 is needed, for TensorFlow's wheels; this is %d.%d. Name another "
        "with make PYTHON=python3.11" % sys.version_info[:2]
    )
PYTHON
