#!/bin/sh
# Build the container image without a container engine, start what was built, and try it.
#
#   scripts/build_image.sh [-b BASE] [-e ENGINE] [-w FOLDER] [-s SUITE] [-k]
#
#   -b BASE    base image to pull; without it a Debian base is made with debootstrap
#   -e ENGINE  ncnn, onnx (at most 700 MB), or tensorflow
#   -w FOLDER  where base, store and root file system go; without it a new temporary one
#   -s SUITE   the Debian release of that base (bookworm: Python 3.11)
#   -k         keep the root file system that was tried, and say where it is
#
# As root on Debian or Ubuntu: apt-get install buildah debootstrap. Settings of pip for this
# machine (/etc/pip.conf, PIP_*, the certificates) are lent to the build and not kept.
set -eu

base='' engine=ncnn work='' suite=bookworm keep=no
while getopts b:e:w:s:k option; do
  case $option in
    b) base=$OPTARG ;;
    e) engine=$OPTARG ;;
    w) work=$OPTARG ;;
    s) suite=$OPTARG ;;
    k) keep=yes ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
case $engine in
  ncnn | onnx) image=localhost/brain-cnn:latest ;;
  tensorflow) image=localhost/brain-cnn:tf ;;
  *) echo "-e $engine: ncnn, onnx or tensorflow" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
say() { printf '\n== %s\n' "$*"; }
for tool in buildah debootstrap chroot unshare; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install buildah debootstrap" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "This needs root, for chroot and mounts." >&2; exit 1; }
[ -n "$work" ] || work=$(mktemp -d)
mkdir -p "$work"
work=$(cd "$work" && pwd)

# vfs and chroot: they need no overlay mounts, no cgroups and no runtime.
storage="--storage-driver vfs --root $work/store --runroot $work/run"
buildah_() { # shellcheck disable=SC2086
  buildah $storage "$@"
}

if [ -z "$base" ]; then
  base=localhost/debian-python:$suite
  if [ ! -x "$work/base/usr/bin/python3" ]; then
    say "base: debootstrap $suite"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
      "$suite" "$work/base" >"$work/debootstrap.log"
  fi
  # What only installing packages needs, and what nobody reads in a container.
  rm -rf "$work"/base/var/cache/apt/* "$work"/base/var/lib/apt/lists/* "$work"/base/var/log/*
  rm -rf "$work"/base/usr/share/doc/* "$work"/base/usr/share/man/* "$work"/base/usr/share/locale/*
  if ! buildah_ images --quiet "$base" >/dev/null 2>&1; then
    container=$(buildah_ from scratch)
    buildah_ add --quiet "$container" "$work/base" / >/dev/null
    buildah_ commit --quiet --format docker "$container" "$base" >/dev/null
    buildah_ rm "$container" >/dev/null
  fi
fi

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' brain_cnn/__init__.py)
say "build $version on $base"
# Lent to the RUN steps: where this machine takes its wheels from.
set --
for path in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
  [ -f "$path" ] && set -- "$@" --volume "$path:$path:ro"
done
if command -v pip >/dev/null; then
  for place in $(pip config list 2>/dev/null | grep -oE '(file://)?/[^ '"'"']+' | sed 's|^file://||'); do
    [ -d "$place" ] && set -- "$@" --volume "$place:$place:ro"
  done
fi
buildah_ bud --isolation chroot --format docker --layers=false --build-arg BASE="$base" \
  --build-arg ENGINE="$engine" --build-arg VERSION="$version" --pull-never "$@" --tag "$image" .

say "what was built"
buildah_ inspect --type image --format \
  'user {{.Docker.Config.User}}  signal {{.Docker.Config.StopSignal}}  ports {{.Docker.Config.ExposedPorts}}  health {{.Docker.Config.Healthcheck.Test}}{{"\n"}}' \
  "$image"
container=$(buildah_ from --pull-never "$image")
root=$(buildah_ mount "$container")
size=$(du -sm --apparent-size "$root" | cut -f1)
limit=700
[ "$engine" != tensorflow ] || limit=4000  # TensorFlow alone is three times what all the rest is
echo "unpacked: $size MB (limit $limit)"

say "try it: read-only root, no rights, no network but its own loopback"
status=0
unshare --mount --net --pid --fork --kill-child sh "$PWD/scripts/try_image.sh" "$root" "$engine" || status=$?

if [ "$keep" = yes ]; then
  echo "kept: $root"
else
  buildah_ umount "$container" >/dev/null
  buildah_ rm "$container" >/dev/null
fi
[ "$status" = 0 ] && [ "$size" -le "$limit" ] || { say "FAILED"; exit 1; }
say "the image $image is good"
