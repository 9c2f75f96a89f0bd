"""Cut off, a process opens no socket and looks up no name, and MediaPipe works all the same.

The proof has a control: in a network of its own, where a name server listens, MediaPipe asks for its maker's host, and
cut off it does not.
"""

import json
import subprocess
import sys

import pytest

from helpers.repository import ROOT
from helpers.video import MODEL, cv2, make_video

__all__ = ["cv2", "make_video"]  # the fixtures

TRIES = """
import socket, subprocess, sys
sys.path.insert(0, "src")
from spasm.video import sandbox
sandbox.block_network()
refused = 0
for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM),
                     (socket.AF_INET6, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM)):
    try:
        socket.socket(family, kind)
    except PermissionError:
        refused += 1
child = subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], capture_output=True, text=True)
refused += "PermissionError" in child.stderr
try:
    socket.getaddrinfo("example.org", 80)
except socket.gaierror:
    refused += 1
import threading
def later():
    global refused
    try:
        socket.socket()
    except PermissionError:
        refused += 1
thread = threading.Thread(target=later)
thread.start()
thread.join()
print(refused)
"""

# A user, network and mount namespace with a loopback device and a name server on it, in which commands run. Prints how
# many packets reached the name server from each.
LISTENS = """
import ctypes, fcntl, json, os, socket, struct, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
user = os.getuid(), os.getgid()
if libc.unshare(0x10000000 | 0x40000000 | 0x20000):
    sys.exit(77)
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user[0]} 1"), ("gid_map", f"0 {user[1]} 1")):
    try:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    except OSError:
        sys.exit(77)
folder, commands = sys.argv[1:]
with open(f"{folder}/resolv.conf", "w") as file:
    file.write("nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n")
target = os.path.realpath("/etc/resolv.conf").encode()
libc.mount(None, b"/", None, 0x44000, None)  # private, all below
if libc.mount(f"{folder}/resolv.conf".encode(), target, None, 4096, None):
    sys.exit(77)
with socket.socket() as up:
    fcntl.ioctl(up, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
asked = []
def listen():
    while True:
        asked.append(server.recv(2000))
threading.Thread(target=listen, daemon=True).start()
for command in json.loads(commands):
    before = len(asked)
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    print(len(asked) - before)
"""

LANDMARKS = f"""
import sys, time
sys.path.insert(0, "src")
from pathlib import Path
from spasm.video import sandbox
GUARD
from skimage import data
from spasm.video.landmarker import PoseLandmarker
with PoseLandmarker(Path({str(MODEL)!r}), 1) as find:
    assert find(data.astronaut(), 0).shape == (1, 33, 5)
    time.sleep(3)
"""


@pytest.mark.command
@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_no_socket_can_be_opened_by_the_process_its_threads_or_what_it_starts():
    finished = subprocess.run([sys.executable, "-c", TRIES], cwd=ROOT, capture_output=True, text=True)
    assert finished.stdout.strip() == "7", finished.stderr


PREDICT = """
import runpy, sys
sys.path.insert(0, "src")
from spasm.video import sandbox
sandbox.block_network()
sys.argv = ["submission.py", *sys.argv[1:]]
runpy.run_path("submission.py", run_name="__main__")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_a_submission_needs_no_network(trained, simulated, tmp_path):
    flags = ["--run", trained, "--test", simulated / "test", "--device", "cpu", "--out"]
    for way, name in ((["-c", PREDICT], "cut_off.csv"), (["submission.py"], "allowed.csv")):
        command = [sys.executable, *way, *flags, tmp_path / name]
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert (finished.returncode, finished.stderr) == (0, "")
    assert (tmp_path / "cut_off.csv").read_bytes() == (tmp_path / "allowed.csv").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_mediapipe_asks_for_its_makers_host_and_our_commands_do_not(make_video, trained, tmp_path):
    script = [[sys.executable, "-c", LANDMARKS.replace("GUARD", guard)] for guard in ("", "sandbox.block_network()")]
    seen, model = str(make_video("seen.mkv", seconds=2.5)), ["--model", str(MODEL)]
    extract = [sys.executable, "src/extract_pose.py", seen, "--out", str(tmp_path / "videos"), *model]
    live = [sys.executable, "src/timeline.py", "--camera", seen, "--run", str(trained), *model]
    commands = json.dumps([*script, extract, [*live, "--out", str(tmp_path / "live")]])
    finished = subprocess.run(
        [sys.executable, "-c", LISTENS, str(tmp_path), commands], cwd=ROOT, capture_output=True, text=True
    )
    if finished.returncode == 77:
        pytest.skip("no namespaces here")
    assert finished.returncode == 0, finished.stderr
    asked, *cut_off = map(int, finished.stdout.split())
    assert asked > 0, "without this the test would show nothing"
    assert cut_off == [0, 0, 0]
    assert (tmp_path / "videos/recordings/child_1_1.npy").exists() and list((tmp_path / "live").glob("*/events.csv"))
