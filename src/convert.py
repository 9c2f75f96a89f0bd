"""Write training segments in the layout of another system, to train that system on the same data.

Into --out go kinetics_train/, kinetics_train_label.json, and groups.csv, which says whose each clip is. Data in another
system's layout needs no conversion by hand: every script reads it where --data names its folder.

Example: python src/convert.py --data input --to sta_gunet --out output/sta_gunet
"""

import os
import shlex
import sys

import command_line
from spasm import files, report_text
from spasm.dataset import load_training
from spasm.errors import DataError
from spasm.formats import sta_gunet
from spasm.settings import Convert

WRITERS = {"sta_gunet": sta_gunet.write_clips}


def main(settings: Convert) -> int:
    read, out = settings.read, settings.out
    if out.is_dir() and os.listdir(out):
        raise DataError(out, "holds something already", "name a new folder with --out")
    if out.exists() and (not out.is_dir() or os.path.ismount(out) or out.samefile(".")):
        raise DataError(out, "cannot be made as a whole", "name a new folder with --out")
    data = load_training(read.data, read.frames, read.names, settings.cache, command_line.reading)
    print(report_text.data_summary(data))
    with files.new_folder(out) as building:
        WRITERS[settings.to](building, data.names, data.poses, data.labels)
    print(f"written: {out}")
    print(f"next:    python src/verify.py --data {shlex.quote(str(out))}")
    return 0


if __name__ == "__main__":
    sys.exit(command_line.run(main, Convert, __doc__))
