"""Tasks run in processes of workers, with the files they read, and no death of a worker or scheduler loses one."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed")


from helpers.cluster import Processes, listening, without
from helpers.processes import is_gone, wait_until
from spasm.cluster import connection, on_worker, task_process, tasks
from spasm.cluster.tasks import Cluster
from spasm.core import files
from spasm.core.errors import ClusterError, DataError

NEEDED = {"python": on_worker.python_version()}
pytestmark = pytest.mark.command


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("cluster")) as processes:
        yield processes


@pytest.fixture(scope="module")
def address(processes: Processes) -> str:
    """A scheduler with a worker that runs two tasks at a time."""
    address = processes.scheduler()
    processes.worker(address, threads=2)
    return address


@pytest.fixture(autouse=True)
def watched_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "WATCH_S", 0.1)


@pytest.fixture
def cluster(address: str) -> Iterator[Cluster]:
    with connection.connected(address) as (cluster, _):
        yield cluster


def task_processes(worker: int) -> list[int]:
    """The processes of a worker's tasks."""
    found = Path(f"/proc/{worker}/task").glob("*/children")
    processes = [int(process) for path in found for process in path.read_text().split()]
    return [process for process in processes if not is_gone(process)]


def begun(worker: int) -> int:
    """Wait until a worker has one process, and those of earlier tests have ended; its id."""
    wait_until(lambda: len(task_processes(worker)) == 1)
    [process] = task_processes(worker)
    return process


def test_each_task_has_a_process_of_its_own_unless_it_asks_for_an_earlier_one(cluster):
    alone = [cluster.submit(os.getpid).result(60) for _ in range(2)]
    kept = [cluster.submit(os.getpid, keep="numbers").result(60) for _ in range(2)]
    other = cluster.submit(os.getpid, keep="letters").result(60)
    assert len({*alone, *kept, other, os.getpid()}) == 5
    assert kept[0] == kept[1]


def test_a_kept_process_that_was_killed_meanwhile_is_replaced(cluster):
    first = cluster.submit(os.getpid, keep="killed").result(60)
    os.kill(first, 9)
    assert cluster.submit(os.getpid, keep="killed").result(60) != first


def test_a_task_runs_the_code_of_the_command_wherever_the_worker_was_started(cluster):
    place = cluster.submit(eval, "__import__('spasm').__file__").result(60)
    assert Path(place).parts[-3:] == ("unpacked", "spasm", "__init__.py")


def test_messages_arrive_in_order_and_before_the_result(cluster):
    received: list[int] = []
    text = "[task_process.notify(number) for number in range(50)] and 7"
    call = f"(lambda task_process: {text})(__import__('spasm.cluster.task_process', fromlist=['notify']))"
    assert cluster.submit(eval, call, on_message=received.append).result(60) == 7
    assert received == list(range(50))


def test_an_error_is_raised_as_on_one_machine_and_says_where(cluster, address):
    with pytest.raises(ZeroDivisionError) as raised:
        cluster.submit(divmod, 1, 0).result(60)
    assert "at worker tcp://127.0.0.1:" in raised.value.__notes__[0]
    with pytest.raises(DataError, match=r"nothing\.npy: cannot be read"):
        cluster.submit(files.sha256, Path("/nothing.npy")).result(60)
    with pytest.raises(ClusterError, match=r"^worker tcp://127\.0\.0\.1:\d+ on .*: /nothing: No such file"):
        cluster.submit(os.listdir, "/nothing").result(60)


def test_a_message_that_cannot_be_handled_ends_its_task(cluster):
    call = "__import__('spasm.cluster.task_process', fromlist=['notify']).notify('all')"
    with pytest.raises(ValueError, match="invalid literal"):
        cluster.submit(eval, call, on_message=int).result(60)


def test_a_task_whose_process_is_killed_runs_again_and_gives_up_after_three_times(cluster, tmp_path):
    call = f"__import__('os').open({str(tmp_path / 'once')!r}, 193) and 'second try'"  # fails if it is there
    once = f"__import__('os').path.exists({str(tmp_path / 'once')!r}) or ({call}, __import__('os')._exit(9))"
    assert cluster.submit(eval, once).result(60) is True
    with pytest.raises(ClusterError, match=r"killed 3 times \(9\).*run the same command again"):
        cluster.submit(os._exit, 9).result(60)


def test_a_file_on_a_shared_disk_is_read_where_it_is(cluster, tmp_path):
    path = tmp_path / "poses.npy"
    path.write_bytes(b"1")
    assert cluster.submit(task_process.place_of, path, reads=[path]).result(60) == path


def test_a_file_that_a_worker_does_not_see_is_sent_to_it_once(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "PART_BYTES", 1000)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    if os.geteuid() or subprocess.run([*without([hidden]), "true"], capture_output=True).returncode:
        pytest.skip("needs root and namespaces")
    names = ["poses.npy", "with 'quotes' and ümlaut.npy", os.fsdecode(b"not \xff utf-8.npy"), "empty.npy"]
    paths = [hidden / name for name in names]
    for number, path in enumerate(paths):
        path.write_bytes(os.urandom(2500 + number) if path.stem != "empty" else b"")
    with Processes(tmp_path / "cluster") as processes:
        address = processes.scheduler()
        processes.worker(address, hidden=[hidden], threads=2)
        with connection.connected(address) as (cluster, _):
            for path in paths:
                place = cluster.submit(task_process.place_of, path, reads=[path]).result(60)
                assert place != path and place.name == path.name
                both = [cluster.submit(Path.read_bytes, place, reads=[path]) for _ in range(2)]
                assert {read.result(60) for read in both} == {path.read_bytes()}
            assert len(cluster.sent) == len(paths) + 1  # and the package
            paths[0].write_bytes(b"other content")
            assert cluster.submit(Path.read_bytes, place.parent.parent, reads=[paths[1]]).exception(60)
            place = cluster.submit(task_process.place_of, paths[0], reads=[paths[0]]).result(60)
            assert cluster.submit(Path.read_bytes, place).result(60) == b"other content"


def test_a_file_that_changes_before_it_is_sent_is_an_error(cluster, tmp_path, monkeypatch):
    path = tmp_path / "poses.npy"
    path.write_bytes(b"as it was")
    before = tasks.file_at(path)
    path.write_bytes(b"as it is now")
    monkeypatch.setattr(tasks, "file_at", lambda _: before)
    with pytest.raises(DataError, match=r"poses\.npy: has changed while a task needed it"):
        cluster.submit(task_process.place_of, path, reads=[path]).result(60)


def test_a_worker_that_is_killed_ends_its_task_which_runs_on_another(tmp_path):
    with Processes(tmp_path) as processes:
        address = processes.scheduler()
        first = processes.worker(address)
        with connection.connected(address) as (cluster, _):
            result = cluster.submit(eval, f"__import__('time').sleep(1.5) or {os.getpid()}")
            process = begun(first.pid)
            first.kill()
            wait_until(lambda: is_gone(process))
            processes.worker(address)
            assert result.result(60) == os.getpid()


def test_a_task_that_kills_its_workers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    with Processes(tmp_path) as processes:
        address = processes.scheduler()
        processes.worker(address)
        with (
            connection.connected(address) as (cluster, _),
            pytest.raises(ClusterError, match="several workers died while they ran the same task, perhaps because"),
        ):
            cluster.submit(eval, "__import__('os').kill(__import__('os').getppid(), 9)").result(60)


def test_a_command_without_workers_says_so_and_goes_on_once_there_is_one(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tasks, "NO_WORKER_S", 0.2)
    with Processes(tmp_path) as processes:
        address = processes.scheduler()
        first = processes.worker(address)
        with connection.connected(address) as (cluster, _):
            first.kill()
            result = cluster.submit(os.getppid)
            wait_until(lambda: f"{address} has no worker; this waits for one" in caplog.text)
            assert result.exception is not None and not result.done()
            second = processes.worker(address)
            assert result.result(60) == second.pid


def test_tasks_are_run_by_the_scheduler_that_takes_the_place_of_a_killed_one(tmp_path):
    with Processes(tmp_path) as processes:
        address = processes.scheduler()
        worker = processes.worker(address)
        with connection.connected(address) as (cluster, _):
            received: list[str] = []
            assert cluster.submit(os.getppid).result(60) == worker.pid
            notify = "__import__('spasm.cluster.task_process', fromlist=['notify']).notify"
            call = f"[{notify}('begun'), __import__('time').sleep(1)]"
            result = cluster.submit(eval, call, on_message=received.append)
            wait_until(lambda: received)
            processes.started[0].kill()
            assert processes.scheduler(port=int(address.rpartition(":")[2])) == address
            processes.worker(address)
            assert result.result(60) == [None, None]
            assert received == ["begun", "begun"]


def test_a_scheduler_that_does_not_come_back_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    with Processes(tmp_path) as processes:
        address = processes.scheduler()
        processes.worker(address)
        with connection.connected(address) as (cluster, _):
            monkeypatch.setattr(tasks, "WAIT_S", 2)
            cluster.client._timeout = 2
            result = cluster.submit(time.sleep, 100)
            processes.started[0].kill()
            with pytest.raises(ClusterError, match=f"the scheduler at {address} has not been reached for 2 s; what is"):
                result.result(20)
            with pytest.raises(ClusterError, match="has not been reached"):
                cluster.submit(time.sleep, 0)


def test_the_tasks_of_a_command_that_ends_are_ended_at_the_workers(address, processes):
    worker = processes.started[-1].pid
    with pytest.raises(KeyboardInterrupt), connection.connected(address) as (cluster, _):
        result = cluster.submit(time.sleep, 100)
        process = begun(worker)
        raise KeyboardInterrupt
    with pytest.raises(ClusterError, match="the command was stopped"):
        result.result(0)
    wait_until(lambda: is_gone(process))


def test_the_tasks_of_a_killed_command_are_ended_at_the_workers(address, processes):
    worker = processes.started[-1].pid
    code = (
        "import time; from spasm.cluster.connection import connected\n"
        f"with connected('{address}') as (cluster, _): cluster.submit(time.sleep, 100).result()"
    )
    command = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"})
    process = begun(worker)
    command.kill()
    command.wait()
    wait_until(lambda: is_gone(process))


def test_two_commands_share_a_scheduler(address):
    with connection.connected(address) as (one, _), connection.connected(address) as (other, _):
        results = [each.submit(eval, str(number), keep="same") for number, each in enumerate((one, other, one, other))]
        assert [result.result(60) for result in results] == [0, 1, 2, 3]


def test_tasks_with_a_higher_priority_run_first():
    with connection.connected("local:1") as (cluster, _):
        later = [cluster.submit(eval, "(__import__('time').sleep(0.1), __import__('time').time())") for _ in range(6)]
        first = cluster.submit(time.time, priority=1)
        begun = [task.result(60)[1] for task in later]
        assert sum(first.result(60) < other for other in begun) >= 3  # a worker has a few of them already


def test_what_is_started_here_listens_on_this_machine_only():
    with connection.connected("local:2") as (cluster, lines):
        assert cluster.slots == 2
        assert cluster.submit(os.getppid).result(60) == os.getpid()
        assert lines[0].startswith("dashboard: http://127.0.0.1:")
        assert listening([os.getpid()]) <= {"127.0.0.1"}


def test_a_worker_with_another_version_is_refused_by_name(address, processes, tmp_path):
    other = tmp_path / "numpy-0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    expected = r"worker tcp://\S+ .*cannot take part: numpy is 0\.1 there and \d\S+ here; install the same versions"
    with connection.connected(address) as (cluster, _):
        path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        worker = processes.worker(address, prefix=["env", f"PYTHONPATH={path}"], threads=1)
        try:
            wait_until(lambda: cluster.slots == 3)  # it joins a command that is at work
            results = [cluster.submit(time.sleep, 0.5) for _ in range(6)]
            with pytest.raises(ClusterError, match=expected):
                [result.result(60) for result in results]
            with pytest.raises(ClusterError, match=expected), connection.connected(address):
                pass
        finally:
            worker.terminate()
            worker.wait()


def test_no_function_is_sent_to_a_worker_with_another_python(address):
    with (
        connection.connected(address) as (cluster, _),
        pytest.raises(ClusterError, match=r"python is 3\.1\d there and 3\.10"),
    ):
        connection.check_versions(cluster.client, {"python": "3.10"})


def test_a_scheduler_without_tls_is_warned_of(address):
    with connection.connected(address) as (_, lines):
        assert any(line.startswith(f"warning: the scheduler at {address} has no TLS") for line in lines)


def test_a_scheduler_is_found_by_its_file_and_a_damaged_file_is_an_error(address, processes, tmp_path):
    with connection.connected(str(processes.folder / "scheduler.json")) as (cluster, _):
        assert cluster.address == address
    for content in ("", "[]", '{"address": 3}', '{"address": "http://example.org"}', "[" * 100_000):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(DataError, match="is no scheduler's file"), connection.connected(str(tmp_path / "bad.json")):
            pass


def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(tasks, "WAIT_S", 1)
    reason = r"tcp://127.0.0.1:9: no scheduler .* start it with `dask scheduler`"
    with pytest.raises(ClusterError, match=reason), connection.connected("tcp://127.0.0.1:9"):
        pass


def test_large_arguments_and_results_travel_whole(cluster):
    content = os.urandom(5_000_000)
    assert cluster.submit(bytes.upper, content).result(60) == content.upper()


def test_nothing_of_dask_is_printed(address, processes, capfd):
    with connection.connected(address) as (cluster, _):
        threads = [threading.Thread(target=lambda: cluster.submit(os._exit, 1).exception(60)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert capfd.readouterr() == ("", "")
