#!/usr/bin/env bash
# The steps of actions/setup: `setup.sh found` says what is missing, `setup.sh k8s-ee` and `setup.sh helm` bring it.
# Both end in a folder of their own under RUNNER_TEMP: the consumer's python and tools stay what they were.
set -euo pipefail

HELM_VERSION=3.22.0
HELM_SHA256_AMD64=1e4ab49e429626cf6c6958d914248b78c9730803c2751b87627e171dc800e7bb
HELM_SHA256_ARM64=f14e804dfee240f55525b667488fe9adca349e63e00c9af634c0beb1421ac310

toolkit=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin="$RUNNER_TEMP/k8s-ee/bin"

fail() {
  echo "::error title=k8s-ee setup::$1"
  exit 5
}

found() {
  local version cli=missing helm=missing
  [[ $(uname -s) == Linux ]] || fail "k8s-ee runs on Linux runners only: choose another with runs-on"
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$toolkit/pyproject.toml")
  if [[ $(k8s-ee --version 2>/dev/null || true) == *" $version" ]]; then cli=found; fi
  if [[ ${K8S_EE_HELM:-true} == false || $(helm version --template '{{.Version}}' 2>/dev/null || true) =~ ^v(3\.(2[2-9]|[3-9][0-9])|4)\. ]]; then
    helm=found
  fi
  printf '%s\n' "version=$version" "k8s-ee=$cli" "helm=$helm" >>"$GITHUB_OUTPUT"
}

k8s_ee() {
  export UV_PROJECT_ENVIRONMENT="$RUNNER_TEMP/k8s-ee/venv"
  # What the job, or the runner, wants of its own projects. `--frozen` takes what the lock names, whatever index is set.
  unset UV_PYTHON UV_SYSTEM_PYTHON UV_EXCLUDE_NEWER UV_LOCKED UV_FROZEN UV_NO_SYNC UV_DEV UV_NO_DEV VIRTUAL_ENV
  uv sync --quiet --frozen --no-dev --project "$toolkit" || fail "installing k8s-ee failed: the lines above say why"
  mkdir -p "$bin"
  ln -sf "$UV_PROJECT_ENVIRONMENT/bin/k8s-ee" "$bin/k8s-ee"
  echo "$bin" >>"$GITHUB_PATH"
}

helm_client() {
  local arch sum archive="$RUNNER_TEMP/k8s-ee/helm.tar.gz"
  case $(uname -m) in
    x86_64) arch=amd64 sum=$HELM_SHA256_AMD64 ;;
    aarch64) arch=arm64 sum=$HELM_SHA256_ARM64 ;;
    *) fail "no pinned Helm for $(uname -m): put helm $HELM_VERSION or 4 on the runner's PATH" ;;
  esac
  mkdir -p "$bin"
  curl --fail --silent --show-error --location --retry 3 --max-time 120 --output "$archive" \
    "${HELM_MIRROR:-https://get.helm.sh}/helm-v$HELM_VERSION-linux-$arch.tar.gz" ||
    fail "Helm could not be downloaded: put helm $HELM_VERSION or 4 on the runner's PATH, or set HELM_MIRROR"
  echo "$sum  $archive" | sha256sum --check --quiet || fail "the downloaded Helm is not the published one"
  tar --extract --gzip --file "$archive" --directory "$bin" --strip-components 1 "linux-$arch/helm"
  echo "$bin" >>"$GITHUB_PATH"
}

case ${1:-} in
  found) found ;;
  k8s-ee) k8s_ee ;;
  helm) helm_client ;;
  *) fail "setup.sh found|k8s-ee|helm" ;;
esac
