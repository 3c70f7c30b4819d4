# Everything a fresh machine with Python 3.11 needs: `make study` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STUDY ?= studies/block_temp.yaml
BENCH_PYTHON ?= python3

# Which torch. TORCH=cpu: 2.13.0+cpu where pip finds it (in a folder of PIP_FIND_LINKS, or with TORCH_INDEX, the address that
# pytorch.org names for CPUs), else what the registry has. TORCH=cu130: what the registry has under the bare version, a build for
# CUDA 13.0, gigabytes of it; === takes no 2.13.0+cpu in its place. Later targets keep what was installed.
INSTALLED := $(shell cat $(VENV)/.installed 2>/dev/null)
TORCH ?= $(or $(INSTALLED),cpu)
TORCH_cpu := --upgrade torch==2.13.0
TORCH_cu130 := torch===2.13.0
ifneq ($(filter-out cpu cu130,$(TORCH))$(words $(TORCH)),1)
$(error TORCH is cpu or cu130, not '$(TORCH)')
endif

.PHONY: setup study test docs check check-full check-lowest bench bench-peer bench-gpu compare-fid compare-speed simulate storm clean

setup: $(VENV)/.installed
ifneq ($(TORCH),$(or $(INSTALLED),cpu))
.PHONY: $(VENV)/.installed
endif

# uv installs several times faster than pip. It reads none of pip's settings, so it is handed the places that pip looks in, and
# where it fails pip installs.
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile
pip_setting = $$(printenv $(1) || $(BIN)/pip config get global.$(2) 2>/dev/null)
UV_SETTINGS := UV_FIND_LINKS="$$(echo $(call pip_setting,PIP_FIND_LINKS,find-links) | tr ' ' ',')" \
	UV_DEFAULT_INDEX="$(call pip_setting,PIP_INDEX_URL,index-url)" UV_INDEX="$(call pip_setting,PIP_EXTRA_INDEX_URL,extra-index-url)" \
	UV_INDEX_STRATEGY=unsafe-best-match
UV_INSTALL := env $(UV_SETTINGS) $(BIN)/uv pip install --quiet --no-cache --python $(BIN)/python
install = $(UV_INSTALL) $(1) || $(PIP_INSTALL) $(1)

# torch is pinned by itself first: a range would pull the CUDA build and gigabytes with it. pip would compile what it installs on
# one core, which takes a minute; here it is done on all, without the packages' tests (a few files are no
# Python 3).
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(PIP_INSTALL) uv -c constraints.txt || true
	@$(call install,$(TORCH_$(TORCH)) $(if $(TORCH_INDEX),--index-url '$(TORCH_INDEX)') -c constraints.txt)
	@$(call install,-e '.[dev]' --config-settings editable_mode=compat -c constraints.txt)
	$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV) sweeper trainer || true
	echo $(TORCH) > $@

study: setup
	$(BIN)/sweeper run $(STUDY) --yes

# In two processes: those that start Ray in one, the files of the others as they come. A third gains nothing: it takes from
# the Ray of the first, whose workers have a low priority.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations 20

# The documentation as a site, in build/site: README, docs, guides, the atlas, and a reference made from schema and help.
docs: setup
	$(BIN)/python -m sphinx -q -W -c docs . build/site

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The page in Chromium, with axe, and the LaTeX compiled; minutes. As root it installs what is missing from Debian.
DEBIAN := chromium texlive-latex-base texlive-latex-recommended texlive-fonts-recommended
check-full: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[full]' -c constraints.txt
	(command -v chromium && command -v pdflatex) >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends $(DEBIAN))
	$(BIN)/python -m pytest -p no:xdist -o python_files='check_*.py' tests/full

# The tests with the lowest versions that pyproject.toml allows (torch excepted, whose wheel is pinned), found by uv.
LOWEST := build/lowest
check-lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check --no-compile uv torch==2.13.0 -c constraints.txt
	echo torch==2.13.0 > $(LOWEST)/torch.txt
	$(LOWEST)/bin/uv pip compile --quiet pyproject.toml --extra postgres --resolution lowest-direct --no-annotate --no-header \
		--constraint $(LOWEST)/torch.txt --output-file $(LOWEST)/all.txt
	grep -v '^torch==\|^nvidia\|^triton\|^cuda' $(LOWEST)/all.txt > $(LOWEST)/pins.txt
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps -r $(LOWEST)/pins.txt
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps -e . --config-settings editable_mode=compat
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check --no-compile pytest pytest-xdist hypothesis jsonschema pyyaml \
		ipykernel nbclient 'setuptools>=80' -c $(LOWEST)/pins.txt
	$(LOWEST)/bin/python -m pytest -p no:xdist tests/sweeper tests/trainer tests/golden tests/integration tests/e2e/test_study.py

# PEER=path adds the public SiT code, a checkout, with timm and torchdiffeq in SITE=folder.
bench: setup
	$(BIN)/python -m tests.benchmarks.bench --study $(STUDY) $(if $(PEER),--peer $(PEER)) $(if $(SITE),--site $(SITE))

bench-peer: setup
	$(BIN)/python -m tests.benchmarks.bench_peer $(PEER) $(if $(SITE),--site $(SITE))

# FID before and after a change of numbers: BASE is the revision before it.
compare-fid: setup
	$(BIN)/python -m tests.benchmarks.compare_fid $(BASE)

# A step before and after a change, in turns; whether both learn the same. BASE is the revision before it.
compare-speed: setup
	$(BIN)/python -m tests.benchmarks.compare_speed $(BASE)

# On a machine with a GPU, with whatever Python has torch there; minutes. BENCH="--device cpu --smoke" tries it out.
bench-gpu:
	$(BENCH_PYTHON) -m tests.benchmarks.bench_gpu $(BENCH)

# Hours on two cores; killed, `make simulate SIMULATE=--resume` goes on.
simulate: setup
	$(BIN)/python -m tests.simulation.simulate --out reports $(SIMULATE)
	$(BIN)/python -m tests.simulation.surface --out reports
	$(BIN)/python -m tests.simulation.atlas --out reports

# Hours on two cores, with nothing beside it; killed, the same command goes on. STORM="--blows 10 --only 'disk full'".
storm: setup
	$(BIN)/python -m tests.storm.storm $(STORM)

clean:
	rm -rf $(VENV) .sweeper
