"""Makes alice.csv and bob.csv: a bank's and a government's view of the same made-up customers, with a fraud label.

Not for anything real: every number comes from a seeded generator. What is built in: columns on very different scales
and heavy tails (money), correlation within and across the two files, a label that needs both sides (income seen by the
bank against income declared to the state), some curvature for a network to find, 24 % fraud (these are customers under
review, not all customers) and 3 % of the labels flipped.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

Columns = dict[str, np.ndarray]
LABEL_NOISE = 0.03
FRAUD_SHARE = 0.24


def customers(rows: int, seed: int) -> tuple[Columns, Columns, np.ndarray]:
    """Returns the bank's columns, the government's columns and the label, all in the same row order."""
    rng = np.random.default_rng(seed)

    def bell() -> np.ndarray:
        return rng.standard_normal(rows)

    def money(median: float, spread: float, signal: np.ndarray) -> np.ndarray:
        return np.round(median * np.exp(spread * signal), 2)

    def count(mean: float, signal: np.ndarray) -> np.ndarray:
        return rng.poisson(mean * np.exp(0.7 * signal - 0.245)).astype(np.int64)

    wealth, haste, reach, care = bell(), bell(), bell(), bell()  # what a person is like; nobody records it
    earned = 0.8 * wealth + 0.6 * bell()
    hidden = bell()  # the part of the income that the state does not hear of
    declared = 0.85 * earned - 0.53 * hidden
    abroad, owing, shells, secretive = 0.6 * reach + 0.8 * bell(), 0.5 * haste + 0.87 * bell(), bell(), bell()

    bank = {
        "balance": money(4_200, 0.9, 0.7 * wealth + 0.7 * bell()),
        "income": money(36_000, 0.45, earned),
        "age": np.clip(np.round(46 + 14 * (0.4 * wealth + 0.9 * bell())), 18, 97).astype(np.int64),
        "transfers_30d": count(14, 0.5 * haste + 0.7 * bell()),
        "abroad_30d": count(3, abroad),
        "cash_30d": money(380, 0.8, 0.6 * haste + 0.8 * bell()),
        "card_payments_30d": count(31, 0.4 * wealth + 0.6 * bell()),
        "new_payees_30d": count(2, 0.5 * haste + 0.5 * shells + 0.6 * bell()),
        "account_age_months": np.round(90 * np.exp(0.5 * care + 0.4 * bell())).astype(np.int64),
        "overdraft_days": count(4, 0.7 * haste - 0.5 * wealth),
        "credit_limit": money(6_000, 0.6, 0.8 * wealth + 0.5 * bell()),
        "loan_balance": money(21_000, 0.7, bell()),
        "night_logins_30d": count(5, 0.8 * secretive),
        "devices": 1 + count(1.5, 0.7 * bell()),
        "failed_logins_30d": count(2, 0.4 * secretive + 0.6 * bell()),
        "share_in_cash": np.round(1 / (1 + np.exp(-(0.9 * haste + 0.8 * bell()))), 4),
    }
    state = {
        "declared_income": money(34_000, 0.45, declared),
        "property_value": money(190_000, 0.7, 0.8 * wealth + 0.6 * bell()),
        "tax_arrears": money(900, 0.8, owing),
        "late_filings": count(2, 0.6 * haste - 0.6 * care),
        "companies_directed": count(1.5, 0.9 * shells),
        "dependants": count(1.2, 0.5 * bell()),
        "address_changes_5y": count(1, 0.5 * reach + 0.5 * bell()),
        "years_resident": np.round(17 * np.exp(-0.4 * reach + 0.5 * bell()), 1),
        "vat_turnover": money(64_000, 0.8, 0.6 * shells + 0.7 * bell()),
        "vat_refunds": money(2_400, 0.8, 0.5 * shells + 0.8 * bell()),
        "benefits_received": money(1_100, 0.7, -0.6 * wealth + 0.7 * bell()),
        "customs_declarations": count(2, 0.5 * reach + 0.6 * bell()),
        "audits_10y": count(1, 0.5 * owing + 0.6 * bell()),
        "employer_changes_5y": count(1.5, 0.4 * haste + 0.6 * bell()),
        "court_orders": count(0.6, 0.6 * owing),
        "deductions_share": np.round(1 / (1 + np.exp(-(0.4 * hidden + 0.9 * bell() - 1.0))), 4),
    }
    gap = earned - declared
    guilt = (
        2.0 * gap
        + 0.9 * abroad
        + 0.6 * haste
        + 0.8 * owing
        + 0.9 * shells
        - 0.3 * care
        + 0.8 * abroad * shells
        + 0.7 * np.maximum(gap, 0) * secretive
        + 0.4 * bell()
    )
    fraud = guilt > np.quantile(guilt, 1 - FRAUD_SHARE)
    return bank, state, (fraud ^ (rng.random(rows) < LABEL_NOISE)).astype(np.int64)


def write(path: Path, columns: Columns) -> None:
    """Writes one table with a header line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def make(folder: Path, rows: int = 7000, seed: int = 1) -> tuple[Path, Path]:
    """Writes alice.csv and bob.csv into the folder and returns their paths."""
    bank, state, label = customers(rows, seed)
    number = {"id": 100_000 + np.random.default_rng([seed, 1]).permutation(10 * rows)[:rows]}
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "alice.csv", number | bank)
    write(folder / "bob.csv", number | state | {"label": label})
    return folder / "alice.csv", folder / "bob.csv"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make alice.csv and bob.csv: made-up customers with a fraud label.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "run", help="folder (default: run)")
    parser.add_argument("--rows", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(*make(options.out, options.rows, options.seed), sep="\n")
