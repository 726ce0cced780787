"""One rank of the checks of several, started by torchrun: `rank_main.py DEVICE OUT few|endless`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from gpu import stand_ins

with stand_ins.stand_ins(stand_ins.PACKAGES):
    from gpu import ranks

if __name__ == "__main__":
    ranks.be_a_rank(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
