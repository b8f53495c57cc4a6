#!/bin/sh
# Makes .venv with all that the project itself needs. Run it through `make setup`, which knows when there is nothing to do.
#
# Needs a Python of at least 3.11 with its venv and pip; PYTHON=... names one, otherwise the first that will do is taken.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
uv_range='uv>=0.11,<0.14'
suits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2])'

if ! "$venv/bin/python" -c "$suits" 2>/dev/null; then
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if "$python" -c "$suits" 2>/dev/null; then
            found=$python
            break
        fi
    done
    if [ -z "${found:-}" ]; then
        echo "setup: no Python of at least 3.11 with venv and ensurepip was found; name one with PYTHON=..." >&2
        echo "setup: (on Debian, the package python3-venv brings ensurepip)" >&2
        exit 1
    fi
    echo "setup: making $venv with $("$found" --version)"
    "$found" -m venv "$venv"
fi

if ! "$venv/bin/uv" --version >/dev/null 2>&1; then
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check "$uv_range" ||
        echo "setup: uv is not to be had here; pip takes its place, without the locked versions" >&2
fi

sync() {
    UV_PROJECT_ENVIRONMENT=$venv UV_PYTHON_DOWNLOADS=never "$venv/bin/uv" sync --frozen --all-extras --quiet
}

if "$venv/bin/uv" --version >/dev/null 2>&1; then
    # Behind a proxy that opens TLS only the system's store knows the certificates; on a bare system only uv's own is there.
    sync || {
        echo "setup: once more, with the certificates of this system" >&2
        export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true
        sync
    }
else
    # Dependency groups came to pip with 25.1.
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
        --editable '.[disk,embeddings,fast,identity,litellm,local,monty,oauth,serve]' --group dev
fi
echo "setup: $venv is ready"
