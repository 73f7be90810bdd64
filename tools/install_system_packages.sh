#!/usr/bin/env bash
# Installs Debian packages that are missing, with apt where this user may; otherwise prints the one
# line to run, and fails.
set -euo pipefail
missing=()
for package in "$@"; do
  if ! dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null |
    grep -qx installed; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

command="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then
  echo "Installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive bash -c "$command" >/dev/null
elif sudo -n true 2>/dev/null; then
  echo "Installing ${missing[*]}"
  sudo DEBIAN_FRONTEND=noninteractive bash -c "$command" >/dev/null
else
  echo "Missing packages. Run this, then the same make target again:" >&2
  echo "  sudo bash -c '$command'" >&2
  exit 1
fi
