"""What tacit costs, measured: beside the floors of this machine, plain PyTorch, and two other systems in the same run.

    work.py       the rows: what is computed, in plain PyTorch and on secrets by the same lines
    bars.py       what each row must reach, and the figures of others that the bars were set against
    parties.py    one row among three processes: time, rounds, bytes, error
    gates.py      the protocol's gates alone, without PyTorch's dispatch
    floors.py     what this machine does by itself, and the least that a row can take on it; links.py for its sockets
    rivals/       the same rows in other systems, each in an environment of its own
    report.py     the lines of a run and the table on screen; machine.py for what it ran on
    page.py       docs/generated/benchmarks.md from those lines; picture.py for its chart
    run.py        the command
    transport.py  a megabyte through the mesh, and gpu.py, ring products on a GPU: programs of their own

Not part of the package: nothing in src/tacit imports this.
"""
