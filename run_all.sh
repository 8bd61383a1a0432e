#!/usr/bin/env bash
# Set up an environment if there is none, then run the study (or, with --test, its tests). See --help.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'EOF'
Usage: ./run_all.sh [options]        run the study: every notebook in order
       ./run_all.sh --test           run the tests

  --profile smoke|embedded|full   size of the run (default: embedded)
  --data-root D                   folder of the gated FOOTPASS archive, for the full profile
  --public-root D                 folder of the public FOOTPASS files (default: $FOOTPASS_PUBLIC, else downloaded)
  --only 01,05                    run these notebooks only
  --from 05                       run from this notebook on
  --fresh                         run notebooks again that are up to date
  --from-scratch                  train without the weights that come with the study (small profiles start from them)
  --test                          ruff, pytest, and the committed notebooks under the smoke profile
  --help                          this text

Executed notebooks and their pages go to reports/runs/<profile>/, results to reports/metrics/<profile>/; open
reports/index.html. The environment is the active one if it has the pinned versions of environment.yml, else one
made by conda or mamba where there is one (.conda/), else a virtual environment (.venv/).
EOF
}

die() { echo "run_all.sh: $*" >&2; exit 2; }

# options: values are checked by the runner; here only their shape and the folders' place
test_mode=0
arguments=()
while (($#)); do
  option=$1; shift
  value=""
  if [[ $option == --*=* ]]; then value=${option#*=}; option=${option%%=*}; fi
  case $option in
    --help|-h) usage; exit 0 ;;
    --test) test_mode=1 ;;
    --fresh|--from-scratch|--publish) arguments+=("$option") ;;
    --profile|--data-root|--public-root|--only|--from)
      if [[ -z $value ]]; then (($#)) || die "$option needs a value (see --help)"; value=$1; shift; fi
      if [[ $option == --*-root ]]; then
        [[ -d $value ]] || die "$option: there is no folder $value"
        value=$(cd "$value" && pwd)
      fi
      if [[ $option == --profile && ! $value =~ ^(smoke|embedded|full)$ ]]; then
        die "unknown profile '$value'; expected smoke, embedded or full"
      fi
      arguments+=("$option" "$value") ;;
    *) die "unknown option $option (see --help)" ;;
  esac
done
if [[ -n ${FOOTPASS_PUBLIC:-} ]]; then
  [[ -d $FOOTPASS_PUBLIC ]] || die "FOOTPASS_PUBLIC: there is no folder $FOOTPASS_PUBLIC"
  FOOTPASS_PUBLIC=$(cd "$FOOTPASS_PUBLIC" && pwd)
  export FOOTPASS_PUBLIC
fi
cd "$here"

# environment
satisfied() { [[ -x $1 ]] && "$1" footpass_lib/environment.py check environment.yml >/dev/null 2>&1; }

find_python() {  # a system Python that is new enough, 3.11 first
  local name
  for name in python3.11 python3.12 python3.13 python3 python; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"; return
    fi
  done
  die "Python 3.11 or newer is needed, and none was found"
}

make_conda() {  # $1 is conda, mamba or micromamba
  echo "setting up .conda with $1 (some minutes, about 7 GB) ..."
  case $1 in
    micromamba) micromamba create --yes --prefix .conda --file environment.yml ;;
    *) "$1" env create --yes --prefix .conda --file environment.yml 2>/dev/null || "$1" env update --prefix .conda --file environment.yml ;;
  esac
}

make_venv() {
  local system_python
  system_python=$(find_python)
  echo "setting up .venv with $system_python (some minutes, about 7 GB) ..."
  [[ -w . ]] || die "this folder cannot be written; activate an environment that has what environment.yml lists"
  [[ -x .venv/bin/python ]] || "$system_python" -m venv .venv ||
    die "no virtual environment could be made (on Debian and Ubuntu: apt install python3-venv)"
  local requirements=.venv/requirements.txt
  .venv/bin/python footpass_lib/environment.py requirements environment.yml >"$requirements"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$requirements" ||
    die "the libraries could not be installed (network? disk space?); what is there stays, run this again to go on"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
}

choose_python() {  # sets $python
  local candidate tool
  for candidate in "$(command -v python || true)" "$here/.venv/bin/python" "$here/.conda/bin/python"; do
    if [[ -n $candidate ]] && satisfied "$candidate"; then python=$candidate; return; fi
  done
  for tool in mamba micromamba conda; do
    if command -v "$tool" >/dev/null; then
      if make_conda "$tool" && satisfied "$here/.conda/bin/python"; then python=$here/.conda/bin/python; return; fi
      echo "$tool could not make the environment; going on with a virtual environment" >&2
      break
    fi
  done
  make_venv
  python=$here/.venv/bin/python
  satisfied "$python" || die "the environment is still incomplete: $("$python" footpass_lib/environment.py check environment.yml | tr '\n' ';')"
}

choose_python
export PATH="$(dirname "$python"):$PATH"
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE} # threads that spin stall when a core has other work,
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}      # those that sleep at once are slow: see footpass_lib/__init__.py

# run
if ((test_mode)); then
  python -m ruff check . && python -m ruff format --check .
  scratch=$(mktemp -d) others=""
  trap 'if [[ -n $others ]]; then kill "$others" 2>/dev/null || true; fi; rm -rf "$scratch"' EXIT
  export FOOTPASS_PROFILE=smoke FOOTPASS_REPORTS=$scratch OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  mapfile -t notebooks < <(python -m footpass_lib.book.runner --list-testable)
  mapfile -t solved < <(python tests/solved.py reports/runs/tests "${notebooks[@]}")
  # Two processes side by side: notebooks, which share data and models, and the rest, shown when it is done.
  python -m pytest tests >"$scratch/tests.log" 2>&1 &
  others=$! status=0
  python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout 600 --nbval-sanitize-with tests/nbval.cfg \
    "${solved[@]}" || status=$?
  wait "$others" || status=$?
  cat "$scratch/tests.log"
  exit "$status"
else
  exec python -m footpass_lib.book.runner "${arguments[@]}"
fi
