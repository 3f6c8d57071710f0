"""Share work between the actors of Ray: on this machine, or on a running cluster.

Ray Data hands shares to actors, starts another one where one dies, and gives its share to that.
An actor is told names and addresses alone, reads the pictures of its share by row id, and writes
its rows by id. Ray's own `write_lance` loses rows when a write is tried again, so it is not used.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import socket
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TypeVar

import pyarrow as pa

import slicedb
from slicedb import progress
from slicedb.errors import CancelledError, OptionError, SliceDBError
from slicedb.media import n_threads
from slicedb.progress import Bar, Watch
from slicedb.scale.child import portable
from slicedb.scale.station import Address, Start, Station
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.store.shares import Divide, Job, Place, Tally

_T = TypeVar("_T")
_MOST = 4
"""Cores of an actor without a GPU, where nobody says."""
_LOOK = 0.5
"""Seconds between two looks at how far the actors are."""
_PATIENCE = 10.0
"""Seconds in which the head of a cluster answers."""
_TRIES = 5
"""How often a function is run again whose process died."""


@dataclass(frozen=True)
class _Shape:
    """How many actors there are, and what each has."""

    workers: int
    cores: int
    gpus: int
    place: Place


class Cluster:
    """A running cluster of Ray, or one that is started on this machine for as long as it is used.

    Args:
        address: of a running cluster; None starts one here, unless this process is connected.
        workers: how many actors; None is one for each GPU, or for every four cores.
        device: cpu or cuda; None is cuda where the cluster has a GPU.
        threads: of each actor; None are its cores.
        show: whether what was chosen is said.
        decode: which chip decodes pictures in each actor.

    Raises:
        OptionError: Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        device: str | None = None,
        threads: int | None = None,
        show: Watch = None,
        decode: str = "cpu",
    ) -> None:
        self._ray = _ray()
        self._address, self._workers = address, workers
        self._device, self._threads, self._show = device, threads, show
        self._decode = decode
        self._cores = n_threads()

    @property
    def threads(self) -> int:
        """How many functions run at once."""
        return self._workers or self._cores

    def run(
        self, store: Store, job: Job, divide: Divide, shown: Bar
    ) -> Generator[Tally, None, None]:
        """Do a job in shares; yields the tally of each as it is done."""
        with self._connected():
            shape = self._shape()
            shares = divide(shape.workers)
            shape = replace(shape, workers=min(shape.workers, len(shares)))
            progress.note(f"{_described(shape, self._title())}.", self._show)
            with _Watching(self._ray, shown) as watching:
                told = pickle.dumps((Address.of(store), job, Start.at(shape.place)))
                try:
                    yield from _tallies(self._results(shares, shape, told, watching.name))
                except CancelledError as error:
                    raise watching.error or error from None

    def _results(
        self, shares: list[pa.Table], shape: _Shape, told: bytes, counter: str
    ) -> Iterator[dict[str, bytes]]:
        """Yield what the actors answer, a row for each share, in whichever order."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_options.preserve_order = False
        answers = ray.data.from_arrow(shares).map_batches(
            Actor,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(told, counter, slicedb.__version__),
            compute=ray.data.ActorPoolStrategy(size=shape.workers, max_tasks_in_flight_per_actor=2),
            num_cpus=shape.cores,
            num_gpus=shape.gpus or None,
        )
        yield from answers.iter_rows()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Connect to the cluster, and let go of it if it was not connected before."""
        ray = self._ray
        if ray.is_initialized():
            yield
            return
        if self._address is not None:
            _refuse_unreachable(self._address)
        own: dict[str, object] = {"num_cpus": self._cores, "include_dashboard": False}
        try:
            with warnings.catch_warnings(), _silent_stderr():
                # Ray's own processes are forked and become other programs at once, which Lance
                # does not know.
                warnings.filterwarnings("ignore", "lance is not fork-safe", UserWarning)
                ray.init(
                    address=self._address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **({} if self._address else own),
                )
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise _no_cluster(self._address, error) from error
        try:
            yield
        finally:
            ray.shutdown()

    def _shape(self) -> _Shape:
        """Choose actors that fit the nodes.

        Raises:
            OptionError: there is no GPU, or fewer cores than workers.
        """
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
        if not cores:
            raise OptionError(
                "The cluster has no cores.", "start nodes with num_cpus of 1 or more."
            )
        if self._device is not None and self._device.startswith("cuda") and not gpus:
            raise OptionError("The cluster has no GPU.", "leave out device=, or give cpu.")
        if gpus and not (self._device or "cuda").startswith("cpu"):
            n = min(self._workers or gpus, gpus)
            each = max(1, min(_MOST, sum(cores) // (n + 1)))
            return _Shape(n, each, 1, Place("cuda", self._threads or each, self._decode))
        each = self._cores_each(cores)
        n = self._workers or sum(c // each for c in cores)
        return _Shape(n, each, 0, Place("cpu", self._threads or each, self._decode))

    def _cores_each(self, cores: list[int]) -> int:
        """Return how many cores an actor has, so that all of them fit on nodes with so many."""
        if self._workers is None:
            return min(_MOST, *cores) if len(cores) > 1 else min(_MOST, cores[0])
        for each in range(max(cores), 0, -1):
            if sum(c // each for c in cores) >= self._workers:
                return each
        raise OptionError(
            f"{count(self._workers, 'worker')} on {count(sum(cores), 'core')} of the cluster.",
            f"take at most {sum(cores)}.",
        )

    def _title(self) -> str:
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        return f"Ray, {count(nodes, 'node')}"

    # --- functions that write nothing ---------------------------------------------------------

    def pool(self) -> Executor:
        """Return where functions of a module can be run."""
        return _Tasks(self)


class Actor:
    """One worker: does the shares that Ray Data gives it.

    Args:
        told: the address of the database, the job and the start, pickled: they are a few names.
        counter: the name of the actor that counts.
        version: of SliceDB where the work is given out.
    """

    def __init__(self, told: bytes, counter: str, version: str) -> None:
        self._told, self._counter, self._version = told, counter, version
        self._opened: tuple[Address, Job, Station] | None = None
        self._held, self._last = 0, time.monotonic()

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Do one share; returns one row with its tally, or with what went wrong."""
        if not len(rows):
            return pa.table({"tally": pa.array([], pa.binary())})
        try:
            address, job, station = self._open()
            self._tell()
            answer: object = station.do(address, job, rows, self._done)
            self._tell()
        except SliceDBError as error:
            answer = portable(error)
        return pa.table({"tally": pa.array([pickle.dumps(answer)], pa.binary())})

    def _open(self) -> tuple[Address, Job, Station]:
        """Read what was told, which another version of SliceDB may not be able to."""
        if self._opened is None:
            _refuse_other(self._version)
            address, job, start = pickle.loads(self._told)
            self._opened = address, job, Station(start)
        return self._opened

    def _done(self, n: int) -> None:
        """Count samples that are done, and stop where the parent says so.

        Raises:
            CancelledError: it does; what was computed is then written.
        """
        self._held += n
        if time.monotonic() - self._last > _LOOK:
            self._tell()

    def _tell(self) -> None:
        import ray

        held, self._held, self._last = self._held, 0, time.monotonic()
        try:
            is_stopped = ray.get(ray.get_actor(self._counter).add.remote(held))
        except (ValueError, ray.exceptions.RayError):  # the parent is gone
            return
        if is_stopped:
            raise CancelledError("The parent has stopped the work.")


class _Counter:
    """Counts the samples that are done, for the bar of the parent, and knows whether to stop."""

    def __init__(self) -> None:
        self._n = 0
        self._is_stopped = False

    def add(self, n: int) -> bool:
        """Count some more; returns whether to stop."""
        self._n += n
        return self._is_stopped

    def total(self) -> int:
        """Return how many there are."""
        return self._n

    def stop(self) -> None:
        """Let the actors stop."""
        self._is_stopped = True


class _Watching:
    """Shows on a bar of the parent what the actors count, and stops them where the bar does."""

    def __init__(self, ray: ModuleType, shown: Bar) -> None:
        self.name = f"slicedb-{os.getpid()}-{os.urandom(4).hex()}"
        self.error: CancelledError | None = None
        self._ray, self._shown = ray, shown
        actor = ray.remote(_Counter).options(name=self.name, num_cpus=0, max_restarts=-1)
        self._counter = actor.remote()
        self._over = threading.Event()
        self._seen = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Watching:
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._counter.stop.remote()
            self._over.set()
            self._thread.join()
            if self.error is None:
                self._look()
            self._ray.kill(self._counter)

    def _watch(self) -> None:
        while self.error is None and not self._over.wait(_LOOK):
            self._look()

    def _look(self) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError):
            new = self._ray.get(self._counter.total.remote()) - self._seen
            self._seen += new
            try:
                self._shown.advance(new)
            except CancelledError as error:
                self.error = error
                self._counter.stop.remote()


def _tallies(answers: Iterator[dict[str, bytes]]) -> Iterator[Tally]:
    """Read what actors answered.

    Raises:
        SliceDBError: what one of them raised.
    """
    import ray

    try:
        for row in answers:
            answer = pickle.loads(row["tally"])
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, Tally)
            yield answer
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        raise SliceDBError(
            f"Ray gave up: {lines[-1].strip() if lines else type(error).__name__}",
            "what was written stays, and running it again goes on from there.",
        ) from error


class _Tasks(Executor):
    """Runs functions as tasks of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(cluster._connected())
        self._ray = cluster._ray
        self._start = Start.at(Place())
        self._remote = self._ray.remote(_called).options(num_cpus=1, max_retries=_TRIES)
        progress.note(f"decoding on {cluster._title()}.", cluster._show)

    def submit(self, function: Callable[..., _T], /, *args: object, **kwargs: object) -> Future[_T]:
        """Run a function of a module on any node."""
        future: Future[_T] = self._remote.remote(self._start, function, args, kwargs).future()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the cluster."""
        self._stack.close()


def _refuse_other(version: str) -> None:
    """Refuse to work on a node with another SliceDB, which may compute or write other things."""
    if version != slicedb.__version__:
        raise SliceDBError(
            f"SliceDB {slicedb.__version__} is installed on '{socket.gethostname()}', and "
            f"{version} where the command runs.",
            "install one version on all machines.",
        )


def _refuse_unreachable(address: str) -> None:
    """Refuse an address that nobody listens at, which Ray would wait for without end."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():  # such as "auto"
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE) as line:
            is_ray = os.environ.get("RAY_USE_TLS") == "1" or _speaks_grpc(line)
    except OSError as error:
        raise _no_cluster(address, error) from error
    if not is_ray:
        raise _no_cluster(address, OSError("what listens there is no Ray."))


def _speaks_grpc(line: socket.socket) -> bool:
    """Return whether the other end greets as gRPC does, with HTTP/2's settings (RFC 9113)."""
    line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0" + b"\0" * 4)
    greeting = b""
    while len(greeting) < 4 and (more := line.recv(4 - len(greeting))):
        greeting += more
    return greeting[3:] == b"\4"


def _no_cluster(address: str | None, error: Exception) -> OptionError:
    return OptionError(
        f"No cluster of Ray at '{address}': {' '.join(str(error).split())[:300]}",
        "`ray status` on its head says whether it runs; --on ray alone starts one here.",
    )


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Leave out what Ray's C++ side writes as it starts: that it heard how little it is to log."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _called(
    start: Start,
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    start.take()
    return function(*args, **kwargs)


def _described(shape: _Shape, title: str) -> str:
    device = shape.place.device
    threads = count(shape.place.threads or shape.cores, "thread")
    return f"{title}: {count(shape.workers, 'worker')} on {device}, {threads} each"


def _ray() -> ModuleType:
    """Import Ray, which tells nobody that it is used.

    Raises:
        OptionError: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a warning
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong is raised
    try:
        importlib.import_module("ray.data")
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise OptionError("Ray is not installed.", "pip install 'slicedb[ray]'.") from error
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray
