"""Arrays, HDF5, Parquet and text files of other pose tools."""

import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data.pose_files.test_tables import DLC, child, two_people
from helpers import pose_tables as tools
from helpers.segments import header, npy
from spasm.core.errors import DataError
from spasm.data.landmarks import INDEX, LANDMARKS, OPENPOSE_18
from spasm.data.pose_files import arrays, hdf5, islr, ultralytics
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import COCO_17, to_landmarks
