#!/bin/sh
# Lays out a root file system with nothing in it but Node and the libraries that it is linked against: no shell, no
# package manager, nothing to write to.
#   sh runtime.sh NODE ROOT
set -eu
node=$1
root=$2
mkdir -p "$root/usr/local/bin" "$root/etc"
cp "$node" "$root/usr/local/bin/node"
libraries=$(ldd "$node")
case $libraries in
*"not found"*)
  echo "runtime.sh: $node lacks libraries:" "$libraries" >&2
  exit 1
  ;;
esac
for library in $(printf '%s\n' "$libraries" | grep -o '/[^ ]*'); do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
echo "fairway:x:65532:65532::/:/nonexistent" >"$root/etc/passwd"
echo "fairway:x:65532:" >"$root/etc/group"
echo "hosts: files dns" >"$root/etc/nsswitch.conf"
