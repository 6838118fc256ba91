# Each target is one line; what it does is in the tool it calls.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check soak bench docs clean

demo: $(READY)   # make the data, run the fraud job among three processes, compare with plain PyTorch
	$(BIN)/python examples/fraud/demo.py

test: $(READY)   # every test that fits in ten minutes
	$(BIN)/python -m pytest -n 2

check: $(READY)  # style, types, floors, forbidden calls, generated pages
	$(BIN)/python tools/check.py

soak: $(READY)   # the long versions of the tests: 10^5 runs, kill loops, fuzzing
	$(BIN)/python -m pytest tests/soak -s

bench: $(READY)  # what the main job costs, beside plain PyTorch and the limits of this machine
	$(BIN)/python bench/run.py $(ROWS)

docs: $(READY)   # write the generated pages anew
	$(BIN)/python tools/ops_page.py --write

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist examples/fraud/run
