"""
Measure the outcomes of all servers anew, or of some, and write the table and its page.

Run as ``python -m tests.hostile``, for instance after a server's new version.
"""

import argparse
import tempfile
from pathlib import Path

from tests.servers.sites import make_database

from .cases import CASES
from .siege import DATABASE, SERVERS, besiege
from .table import OUTCOMES, PAGE, Table

parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
parser.add_argument("servers", nargs="*", metavar="server", help=", ".join(SERVERS))
parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
parser.add_argument("--outcomes", type=Path, default=OUTCOMES)
parser.add_argument("--page", type=Path, default=PAGE)
options = parser.parse_args()

cases = {name: list(CASES.values()) for name in options.servers or SERVERS}
table = Table.read()
with tempfile.TemporaryDirectory() as path:
    folder = Path(path)
    make_database(folder / DATABASE)
    rounds = [besiege(cases, folder) for _ in range(options.rounds)]
for name in cases:
    table.record(name, [sieges[name].outcomes for sieges in rounds])
table.write(options.outcomes)
options.page.write_text(table.page())
