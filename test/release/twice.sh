#!/usr/bin/env bash
# Builds the release of the last commit in two folders of different names, one of
# them with an empty build cache, and holds both to be the same bytes.
set -euo pipefail
version=${1:-0.0.0}
platforms=${PLATFORMS:-linux/amd64}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
commit=$(git -C "$root" rev-parse HEAD)
for folder in a another/with-a-longer-name; do
  mkdir -p "$work/$folder"
  git -C "$root" archive "$commit" | tar -x -C "$work/$folder"
  git -C "$work/$folder" init -q
  git -C "$work/$folder" -c user.name=x -c user.email=x@example.com commit -q --allow-empty -m x
done
make -C "$work/a" release VERSION="$version" PLATFORMS="$platforms" >/dev/null
GOCACHE="$work/cache" make -C "$work/another/with-a-longer-name" release VERSION="$version" PLATFORMS="$platforms" >/dev/null
# The commit of the two folders differs, for they are repositories of their own.
rm "$work"/a/dist/provenance.json "$work"/another/with-a-longer-name/dist/provenance.json
diff -r "$work/a/dist" "$work/another/with-a-longer-name/dist"
(cd "$work/a/dist" && sha256sum --check --quiet SHA256SUMS && cat SHA256SUMS)
echo "the same bytes, built twice from $commit"
