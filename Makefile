# Each target is one line; what it does is in the tool it calls.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check soak bench bench-rivals bench-wan bench-page docs clean

demo: $(READY)   # make the data, run the fraud job among three processes, compare with plain PyTorch
	$(BIN)/python examples/fraud/demo.py

test: $(READY)   # every test that fits in ten minutes
	$(BIN)/python -m pytest -n 2

check: $(READY)  # style, types, floors, forbidden calls, generated pages
	$(BIN)/python tools/check.py

soak: $(READY)   # the long versions of the tests: 10^5 runs, kill loops, fuzzing
	$(BIN)/python -m pytest tests/soak -s

bench: $(READY)  # what each operation costs, beside plain PyTorch and the limits of this machine; ROWS="relu mul" selects
	$(BIN)/python -m bench.run $(ROWS)

bench-rivals: $(READY)  # the same, with CrypTen and SPU in turn; their environments go to TACIT_RIVALS
	$(BIN)/python -m bench.run --rivals $(ROWS)

bench-wan: $(READY)  # training steps on a shaped channel: 352 Mbit/s, 20 ms one way
	$(BIN)/python -m bench.run --only-wan $(ROWS)

bench-page: $(READY)  # all of it, written to docs/generated/benchmarks.md
	$(BIN)/python -m bench.run --rivals --wan --write

docs: $(READY)   # write the generated pages anew
	$(BIN)/python tools/ops_page.py --write && $(BIN)/python tools/functions_page.py --write

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist examples/fraud/run
