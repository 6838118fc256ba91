"""A bank and a government learn to spot fraud: logistic regression, then a small network, on tables neither may show.

Alice brings 16 features of each customer; bob brings 16 others and the label. Every party runs this same file and has
only its own table. Beside the three verbs of tacit this is ordinary PyTorch; plain.py is the same job without them.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tacit
from data import EPOCH_ROWS, check_counts, check_order, comparable, load, split
from report import Report, feature_names, weights


def fit(name: str, epochs: int, lr: float) -> None:
    model, loss_of = models[name], nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    batches = DataLoader(TensorDataset(x[train], y[train]), batch_size=128, shuffle=True, drop_last=True)
    for epoch in range(1, epochs + 1):
        for features, fraud in party.progress(batches, f"{name}, epoch {epoch} of {epochs}"):
            optimizer.zero_grad()
            loss = loss_of(model(features), fraud)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            some = model(x[test[:EPOCH_ROWS]])
        loss = tacit.reveal(loss, to="bob", name="training loss")
        report.epoch(name, epoch, loss, tacit.reveal(some, to="bob", name="epoch scores"))
    with torch.no_grad():
        scores = model(x[test])
    report.final(name, tacit.reveal(scores, to="bob", name="test scores"))


party = tacit.party()
table = load(party)  # a fault in this party's file stops here, before anything connects
report = Report(table)

xa = tacit.secret(table.features, owner="alice")
xb = tacit.secret(table.features, owner="bob")
y = tacit.secret(table.labels, owner="bob")
check_counts(xa, xb)
ids_a, ids_b = tacit.secret(table.ids, owner="alice"), tacit.secret(table.ids, owner="bob")
if comparable(ids_a, ids_b):
    check_order(tacit.reveal((ids_a == ids_b).all(), to="all", name="same row order"))

x = torch.cat([xa, xb], 1)
train, test = split(len(x))
linear = nn.Linear(x.shape[1], 1)
network = nn.Sequential(nn.Linear(x.shape[1], 16), nn.ReLU(), nn.Linear(16, 1))
models = tacit.secret(nn.ModuleDict({"linear": linear, "network": network}))

fit("linear", epochs=4, lr=1 / 32)
fit("network", epochs=6, lr=1 / 16)
report.keep()
columns = feature_names(party.name, table.names, {"alice": xa.shape[1], "bob": xb.shape[1]})
weights(tacit.reveal(models, name="weights"), columns)
