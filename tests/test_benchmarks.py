"""The benchmark suite on tiny settings: what it accepts and rejects, what it writes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import contenders, harness, networks, shapes, suites, summary, tables, tasks, worker, zoo  # noqa: E402
from benchmarks.contenders import Contender  # noqa: E402
from benchmarks.records import Record, Report  # noqa: E402
from benchmarks.shapes import Operation  # noqa: E402
from benchmarks.validation import verdict  # noqa: E402

TINY = harness.Settings(repeats=2, sample=1e-4)
IM2COL = Contender("im2col")
CONV = Operation("tiny", "conv2d", (2, 3, 5, 6), 4, 3, 2, 1)


# ---- the judge is judged ----


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"y": rng.standard_normal((4, 5)), "dx": rng.standard_normal((4, 3))}


def test_verdict_accepts_rounding():
    expected = arrays()
    error, fault = verdict({name: a.astype(np.float32) for name, a in expected.items()}, expected, True)
    assert fault is None
    assert 0 < error < 1e-6


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a * 0,
        lambda a: a * 1.01,
        lambda a: np.where(a == a.max(), np.nan, a),
        lambda a: np.where(a == a.max(), 0, a),
        lambda a: a[:-1],
        lambda a: np.roll(a, 1, axis=0),
    ],
    ids=["zeros", "one per cent", "nan", "one element", "shape", "order"],
)
@pytest.mark.parametrize("name", ["y", "dx"])
def test_verdict_rejects(spoil, name):
    expected = arrays()
    fault = verdict(expected | {name: spoil(expected[name])}, expected, True)[1]
    assert fault is not None
    assert fault.startswith(name)


def test_verdict_rejects_missing_and_unknown_arrays():
    expected = arrays()
    assert "missing: ['dx']" in str(verdict({"y": expected["y"]}, expected, True)[1])
    assert "unknown: ['z']" in str(verdict(expected | {"z": expected["y"]}, expected, True)[1])


def test_verdict_of_networks():
    rng = np.random.default_rng(0)
    expected = {"logits": rng.standard_normal((3, 10)), "d0": rng.standard_normal(20)}
    shifted = expected | {"logits": expected["logits"] + rng.standard_normal((3, 1))}
    assert verdict(shifted, expected, False)[1] is None
    assert verdict({"logits": expected["logits"]}, expected, False)[1] is None
    assert "logits" in str(verdict({"d0": expected["d0"]}, expected, False)[1])
    assert "d0" in str(verdict(expected | {"d0": 1.01 * expected["d0"]}, expected, False)[1])
    assert "logits" in str(verdict(expected | {"logits": 1.01 * expected["logits"]}, expected, False)[1])


def test_verdict_of_gradients_that_are_zero_by_mathematics():
    expected = {"logits": np.eye(3), "d0": np.ones(20), "d1": np.full(20, 1e-17)}
    assert verdict(expected | {"d1": np.full(20, 5e-6)}, expected, False)[1] is None
    assert "should be 0" in str(verdict(expected | {"d1": np.full(20, 2e-5)}, expected, False)[1])
    small = expected | {"d1": np.full(20, 1e-9)}  # not zero, but less than rounding of the largest
    assert verdict(small | {"d1": np.full(20, 1e-8)}, small, False)[1] is None
    assert "d1" in str(verdict(small | {"d1": np.full(20, 1e-7)}, small, False)[1])


def test_verdict_of_badly_conditioned_networks():
    """What inputs that are a little off move further may be off further."""
    expected = {"logits": np.eye(3), "d0": np.ones(20), tasks.LATER: np.eye(3)}
    off = expected | {"d0": np.tile([1.03, 0.97], 10), tasks.LATER: 1.004 * np.eye(3)}
    moved = expected | {"d0": np.tile([1.004, 0.996], 10), tasks.LATER: 1.0006 * np.eye(3)}
    assert "d0" in str(verdict(off, expected, False)[1])
    assert verdict(off, expected, False, moved=moved)[1] is None
    assert "d0" in str(verdict(off | {"d0": np.tile([1.05, 0.95], 10)}, expected, False, moved=moved)[1])
    assert tasks.LATER in str(verdict(off | {tasks.LATER: 1.01 * np.eye(3)}, expected, False, moved=moved)[1])


def test_verdict_of_an_update_goes_by_what_it_changes():
    expected = {"logits": np.eye(3), tasks.LATER: 2 * np.eye(3)}
    off = np.diag([1.0, 0.0, 0.0])
    assert verdict(expected | {tasks.LATER: expected[tasks.LATER] + 0.01 * off}, expected, False)[1] is None
    assert tasks.LATER in str(verdict(expected | {tasks.LATER: expected[tasks.LATER] + 0.05 * off}, expected, False)[1])
    still = expected | {tasks.LATER: np.eye(3)}
    assert tasks.LATER in str(verdict(still | {tasks.LATER: np.eye(3) + 0.01 * off}, still, False)[1])


def test_verdict_of_a_lower_precision():
    expected = {"logits": np.eye(3)}
    found = {"logits": np.eye(3) + np.diag([0.05, 0.0, 0.0])}
    error, fault = verdict(found, expected, False, coarse=True)
    assert fault is None
    assert 0.01 < error < 0.1
    assert "logits" in str(verdict(found, expected, False)[1])
    assert "logits" in str(verdict({"logits": 1.2 * np.eye(3)}, expected, False, coarse=True)[1])


# ---- timing ----


def test_interleave_takes_turns_and_counts_calls():
    log = []

    def sampler(name, seconds):
        def sample(calls, warm):
            log.append((name, calls, warm))
            return seconds

        return sample

    plan = {("a", "m"): sampler("a", 0.001), ("b", "m"): sampler("b", 0.01), ("c", "m"): sampler("c", 12.0)}
    found = harness.interleave(plan, harness.Settings(repeats=3, sample=0.02))
    assert {name: len(samples) for (name, _), samples in found.items()} == {"a": 3, "b": 3, "c": 2}
    assert log[:5] == [("a", 1, False), ("b", 1, False), ("c", 1, False), ("a", 1, True), ("b", 1, True)]
    assert log[5:8] == [("a", 20, True), ("b", 2, True), ("c", 1, False)]
    assert [name for name, *_ in log[8:]] == ["b", "a", "a", "b"]


def test_short_calls_are_sampled_for_the_whole_span(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(clock))
    plan = {("short", "m"): lambda calls, warm: 0.5, ("long", "m"): lambda calls, warm: 2.0}
    found = harness.interleave(plan, harness.Settings(repeats=2, span=3.5))
    assert {name: len(samples) for (name, _), samples in found.items()} == {"short": 5, "long": 2}


# ---- whole comparisons, with real processes ----


@pytest.fixture(scope="module")
def session():
    with harness.Session([Contender("reference"), IM2COL], [1], TINY, say=lambda line: None) as session:
        yield session


@pytest.mark.parametrize(
    "operation",
    [
        CONV,
        Operation("groups", "conv2d", (2, 4, 5, 5), 4, 3, padding=1, groups=2, first=True, lasting=False),
        Operation("linear", "linear", (3, 7), 4),
        Operation("max", "maxpool2d", (2, 3, 6, 5), kernel=3, stride=2, padding=1),
        Operation("avg", "avgpool2d", (2, 3, 6, 4), kernel=2, stride=2, lasting=False),
        Operation("norm", "batchnorm", (2, 3, 4, 4)),
        Operation("relu", "relu", (2, 3, 4, 4)),
    ],
    ids=lambda operation: operation.name,
)
def test_operations_are_validated_and_timed(session, operation):
    session.compare("tiny", operation, 1)
    found = [r for r in session.records if r.case == operation.name]
    assert {(r.contender, r.measure) for r in found} == {
        (name, measure) for name in ("reference", "im2col") for measure in ("forward", "backward")
    }
    for record in found:
        assert record.seconds > 0
        assert record.samples == 2
        assert record.error < 1e-5
        assert record.flops == operation.flops(record.measure)


def test_networks_are_validated_and_timed(session):
    session.compare("tiny", tasks.Training(networks.SEED, 3), 1, case="seed")
    session.compare("tiny", tasks.Prediction(networks.SEED, 2), 1, case="seed")
    session.compare("tiny", tasks.Epoch(networks.SEED, 5, 2), 1, case="seed")
    found = {r.measure: r for r in session.records if r.case == "seed"}
    assert set(found) == {"forward", "step", "predict", "epoch"}
    assert {r.contender for r in found.values()} == {"im2col"}
    assert found["step"].flops == 3 * 2_800_128
    assert found["predict"].images == 2
    assert found["epoch"].error is None
    assert found["step"].error < 1e-3


def test_layers_are_validated_and_timed(session):
    session.compare("tiny", tasks.Layer(shapes.conv(2, 3, 5, 4, 3)), 1, case="layer")
    (record,) = [r for r in session.records if r.case == "layer"]
    assert (record.contender, record.measure, record.images) == ("im2col", "both", 2)
    assert record.error < 1e-5


@pytest.mark.witness
@pytest.mark.parametrize("operation", shapes.QUICK_LAYERS, ids=lambda operation: operation.name)
def test_layers_equal_pytorch(operation):
    if contenders.missing(Contender("torch")):
        pytest.skip("PyTorch is not installed")
    names = [c for c in ("native", "im2col", "torch") if contenders.missing(Contender(c)) is None]
    with harness.Session([Contender(c) for c in names], [1], TINY, say=lambda line: None) as session:
        session.compare("tiny", tasks.Layer(operation), 1)
        assert session.notes == []
        assert [r.contender for r in session.records] == names


class Answering:
    """A worker that computes what it is told to."""

    version = "answering 0"

    def __init__(self, outputs):
        self.given = outputs
        self.closed = False

    def prepare(self, task):
        return ["predict"]

    def moved(self):
        return {}

    def outputs(self, limit=np.inf):
        return self.given(limit)

    def sampler(self, measure):
        return lambda calls, warm: 0.001

    def release(self):
        assert not self.closed

    def close(self):
        self.closed = True


def test_a_contender_that_compiles_too_long_is_named_and_not_asked_again():
    compiling = Contender("torch:compile")
    asked = []

    def late(limit):
        asked.append(limit)
        raise worker.Late("nothing within 7 s")

    settings = harness.Settings(repeats=1, sample=1e-4, compilation=7.0)
    with harness.Session([compiling, IM2COL], [1], settings, say=lambda line: None) as session:
        for images in (1, 2):
            session._workers[compiling, 1] = Answering(late)
            session.compare("tiny", tasks.Prediction(networks.MLP, images), 1)
        title = "MLP 784-512-10, 1 image"
        assert session.notes == [
            f"torch:compile is not measured on {title}, nor on it with more images or threads: nothing within 7 s"
        ]
        assert asked == [7.0]
        assert [(r.case, r.contender) for r in session.records] == [
            (f"MLP 784-512-10, {images}", "im2col") for images in ("1 image", "2 images")
        ]


def test_the_time_of_a_compilation_is_recorded():
    compiling = Contender("torch:compile")
    task = tasks.Prediction(networks.MLP, 1)
    with harness.Session([compiling, IM2COL], [1], TINY, say=lambda line: None) as session:
        right = session.worker(IM2COL, 1)
        right.prepare(task)
        answer = right.outputs()
        session._workers[compiling, 1] = Answering(lambda limit: answer)
        session.compare("tiny", task, 1, ["torch:compile"])
        assert [(r.suite, r.measure, r.contender) for r in session.records] == [
            ("compile", "tiny", "torch:compile"),
            ("tiny", "predict", "torch:compile"),
        ]
        assert session.records[0].seconds > 0


def test_a_process_that_is_late_is_ended():
    late = worker.Worker(IM2COL, 1)
    try:
        late.prepare(tasks.Training(networks.VGG, 64))
        with pytest.raises(worker.Late, match="nothing within 0 s"):
            late.outputs(1e-3)
        assert late._process.wait() != 0
    finally:
        late.close()


def test_a_wrong_contender_is_named_and_not_timed(session):
    class Wrong:
        version = "wrong 0"

        def prepare(self, task):
            return ["forward", "backward"]

        def outputs(self, limit):
            return {name: np.zeros(1) for name in ("y", "dx", "dw", "db")}

        def release(self):
            pass

        def close(self):
            pass

    wrong = Contender("native")
    with harness.Session([wrong, IM2COL], [1], TINY, say=lambda line: None) as other:
        other._workers[wrong, 1] = Wrong()
        other.compare("tiny", CONV, 1)
        assert [note for note in other.notes if "native is WRONG at tiny" in note]
        assert {r.contender for r in other.records} == {"im2col"}


def test_one_measure_alone_is_timed(session):
    session.compare("tiny", tasks.Training(networks.SEED, 2), 1, case="step alone", measure="step")
    assert {r.measure for r in session.records if r.case == "step alone"} == {"step"}
    assert "reference is not among tiny: whole networks take hours on the naive loops" in session.notes


def test_a_contender_that_does_not_start_is_noted():
    absent = Contender("jax")
    if contenders.missing(absent) is None:
        pytest.skip("JAX is installed")
    with harness.Session([absent, IM2COL], [1], TINY, say=lambda line: None) as session:
        session.compare("tiny", tasks.Prediction(networks.MLP, 1), 1)
        assert session.notes == ["jax does not start: ModuleNotFoundError: No module named 'jax'"]
        assert {r.contender for r in session.records} == {"im2col"}


def test_contenders_get_the_environment_that_they_need(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("MINIDL_ISA", "avx2")
    plain, held = Contender("native").environment(3), Contender("native:baseline").environment(3)
    assert "OPENBLAS_CORETYPE" not in plain
    assert "MINIDL_ISA" not in plain
    assert held["MINIDL_ISA"] == "baseline"
    assert plain["OMP_NUM_THREADS"] == plain["MINIDL_NUM_THREADS"] == plain["OPENBLAS_NUM_THREADS"] == "3"


def test_only_contenders_that_compute_with_openblas_have_its_threads_sleep_early(monkeypatch):
    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT", raising=False)
    told = {name for name in contenders.NAMES if "OPENBLAS_THREAD_TIMEOUT" in Contender(name).environment(2)}
    assert told == {"im2col", "sklearn"}


@pytest.mark.witness
@pytest.mark.parametrize("network", networks.NETWORKS, ids=lambda network: network.key)
def test_networks_equal_pytorch(network):
    if contenders.missing(Contender("torch")):
        pytest.skip("PyTorch is not installed")
    with harness.Session([IM2COL, Contender("torch")], [1], TINY, say=lambda line: None) as session:
        session.compare("tiny", tasks.Training(network, 4), 1)
        assert session.notes == []
        assert {r.contender for r in session.records} == {"im2col", "torch"}


# ---- sizes ----


def test_operations_of_the_suite():
    assert len({op.name for op in shapes.LAYERS}) == len(shapes.LAYERS) == 59
    for values, of in (
        ({1, 3, 5, 7, 9, 11}, {op.kernel for op in shapes.LAYERS}),
        ({1, 2, 4}, {op.stride for op in shapes.LAYERS}),
        ({1, 2, 4, 8, 16, 32, 64, 100, 128}, {op.x[0] for op in shapes.LAYERS}),
        ({1, 2, 4, 32}, {op.groups for op in shapes.LAYERS if op.groups < op.x[1]}),
    ):
        assert of == values
    channels, sizes = ({op.x[axis] for op in shapes.LAYERS} for axis in (1, 2))
    assert (min(channels), max(channels), min(sizes), max(sizes)) == (1, 512, 4, 112)
    assert sum(op.groups == op.x[1] > 1 for op in shapes.LAYERS) >= 4
    assert all(op.first or (op.x[1], op.kernel) != (3, 7) for op in shapes.LAYERS)
    assert shapes.CS231N.y == (100, 25, 16, 16)


def test_the_network_around_a_layer():
    task = tasks.Layer(shapes.conv(3, 4, 6, 8, 3, stride=2, groups=2))
    timed, validated = task.networks().values()
    conv = networks.Conv(4, 8, 3, 2, 1, groups=2)
    assert timed.layers == (networks.Conv(1, 4, 1), conv, networks.GlobalAvgPool())
    assert validated.layers == (networks.Conv(1, 4, 1), conv, networks.Relu(), networks.GlobalAvgPool())
    images, labels = timed.batch_of(3)
    assert images.shape == (3, 1, 6, 6)
    assert labels.tolist() == [0, 0, 0]
    assert tasks.flops(task, "both") == 3 * 2 * (3 * 8 * 9) * (2 * 9)
    first = tasks.Layer(shapes.conv(3, 4, 6, 8, 3, first=True)).networks()[""]
    assert (first.input, len(first.layers)) == ((4, 6, 6), 2)


def test_flops_are_the_direct_count():
    count = sum(2 for _ in np.ndindex(2, 4, 3, 3) for _ in np.ndindex(3, 3, 3))
    assert CONV.y == (2, 4, 3, 3)
    assert CONV.flops("forward") == count
    assert CONV.flops("backward") == 2 * count
    assert networks.SEED.flops(1, train=False) == 2 * (9 * 8 * 784 + 72 * 16 * 196 + 784 * 256 + 256 * 10)


def test_parameters_fit_and_repeat():
    shapes_of_seed = [p.shape for p in networks.SEED.parameters()]
    assert shapes_of_seed == [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (256, 784), (256,), (10, 256), (10,)]
    for a, b in zip(networks.RESNET.parameters(), networks.RESNET.parameters(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- the usual networks ----


class Asked:
    """A session that writes down what it is asked to compare."""

    def __init__(self, names, **settings):
        self.contenders = [Contender(name) for name in names]
        self.threads = [1, 2]
        self.settings = harness.Settings(**settings)
        self.rows, self.notes = [], []
        self.fails = False

    def compare(self, suite, task, threads, only, measure):
        if self.fails:
            raise RuntimeError("the process ended")
        self.rows.append((suite, tasks.title(task), threads, sorted(only), measure))

    def note(self, text):
        self.notes.append(text)

    def close(self):
        pass


def test_rows_of_the_usual_networks():
    asked = Asked(["native", "native:avx2", "im2col", "torch"], networks=("resnet18",), batches=(1, 64))
    suites.prediction(asked, False)
    suites.training(asked, False)
    only = ["native", "torch"]
    assert asked.rows == [
        ("prediction", "ResNet-18 224x224, 1 image", 1, only, "predict"),
        ("prediction", "ResNet-18 224x224, 1 image", 2, only, "predict"),
        ("training", "ResNet-18 224x224, batch 1", 1, only, "step"),
        ("training", "ResNet-18 224x224, batch 1", 2, only, "step"),
    ]


def test_all_networks_have_rows_for_all_batches_up_to_their_limits():
    asked = Asked(["im2col"])
    suites.prediction(asked, False)
    assert len(asked.rows) == 2 * sum(batch <= e.predicted for e in zoo.ZOO for batch in (1, 2, 4, 8, 16, 64))
    assert {only for *_, (only,), _ in asked.rows} == {"im2col"}
    assert all(min(e.predicted, e.trained) >= 16 for e in zoo.ZOO)
    quick = Asked(["im2col"])
    suites.training(quick, True)
    assert [title for _, title, *_ in quick.rows[::2]] == ["resnet20 32x32, batch 1", "resnet20 32x32, batch 2"]


def test_a_network_that_breaks_off_does_not_end_the_suite():
    asked = Asked(["im2col"], networks=("resnet20", "wide"), batches=(1,))
    asked.fails = True
    suites.training(asked, False)
    assert asked.notes == [
        f"{name}, batch 1 broke off: the process ended"
        for name in ("resnet20 32x32", "wide residual 32x32")
        for _ in "12"
    ]


@pytest.mark.parametrize("exhibit", zoo.ZOO, ids=lambda exhibit: exhibit.network.key)
def test_parameters_of_the_usual_networks(exhibit):
    from benchmarks.libraries import own

    network = exhibit.network
    model = own.build(network, np.dtype("float32"))
    assert model.output_shape(network.input) == (network.classes,)
    assert network.flops(1, train=False) == pytest.approx(2 * model.multiply_adds(network.input), rel=0.05)
    assert 2 < network.flops(1, train=True) / network.flops(1, train=False) < 3
    assert not any(type(layer).__name__ == "Dropout" for layer in model.layers)
    weights = [p.data for p in model.parameters() if p.data.ndim > 1]
    assert all(0.5 < np.std(w) * np.sqrt(np.prod(w.shape[1:]) / 2) < 1.5 for w in weights)


@pytest.mark.witness
@pytest.mark.parametrize("key", zoo.KEYS)
def test_usual_networks_equal_pytorch(key):
    if contenders.missing(Contender("torch")):
        pytest.skip("PyTorch is not installed")
    network = next(e.network for e in zoo.ZOO if e.network.key == key)
    with harness.Session([IM2COL, Contender("torch")], [1], TINY, say=lambda line: None) as session:
        session.compare("prediction", tasks.Prediction(network, 1), 1, measure="predict")
        assert session.notes == []
        assert {r.contender for r in session.records} == {"im2col", "torch"}


def usual() -> Report:
    made = report()
    made.records = [
        Record("prediction", case, "predict", name, 2, seconds, 5, 10**9, error=1e-6)
        for case, times in {
            "a, 1 image": {
                "native": 0.010,
                "torch": 0.03,
                "torch:bfloat16": 0.001,
                "torch:compile": 0.02,
                "ncnn": 0.04,
            },
            "b, 1 image": {"native": 0.010, "torch": 0.03, "ncnn": 0.005},
            "c, 1 image": {"native": 0.010},
            "d, 1 image": {"ncnn": 0.010},
        }.items()
        for name, seconds in times.items()
    ]
    return made


def test_table_of_the_usual_networks():
    lines = [line.split("  ") for line in tables.against(usual(), "prediction", 2).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == [
        "case",
        "minidl",
        "best other",
        "which",
        "GFLOP/s",
        "times as fast",
        "torch:bfloat16",
        "x bfloat16",
    ]
    assert cells[2] == ["a, 1 image", "10.0 ms", "20.0 ms", "torch:compile", "100", "2.00", "1.00 ms", "0.10"]
    assert cells[3] == ["b, 1 image", "10.0 ms", "5.00 ms", "ncnn", "100", "0.50"]
    assert cells[4] == ["c, 1 image", "10.0 ms", "100"]
    assert cells[5] == ["d, 1 image", "10.0 ms", "ncnn"]
    assert cells[6:] == [
        ["geometric mean", "1.00"],
        ["worst: b, 1 image", "0.50"],
        ["geometric mean of x bfloat16", "0.10"],
        ["worst of x bfloat16: a, 1 image", "0.10"],
    ]
    assert "Predictions of the usual networks, against the best other library, 2 threads" in tables.render(usual())


def test_summary_of_the_usual_networks():
    (line,) = summary.lines(usual())
    assert line.what == (
        "2 predictions of usual networks, against the best other library: geometric mean (worst 0.50: b, 1 image)"
    )
    assert (line.threads, line.ratio) == (2, pytest.approx(1.0))


def test_training_steps_against_another_precision():
    made = usual()
    for record in made.records:
        record.suite, record.measure = "training", "step"
    assert summary.lines(made)[-1] == summary.Line(
        "1 training steps of usual networks, against torch:bfloat16, another precision: "
        "geometric mean (worst 0.10: a, 1 image)",
        *(2, "", "", pytest.approx(0.1)),
    )


def test_scaling_of_steps_that_are_not_short():
    made = report()
    made.records = [
        Record(suite, case, "step", name, threads, seconds, 5)
        for suite, case, name, one, two in (
            ("networks", "short", "native", 0.0009, 0.0009),
            ("networks", "a", "native", 0.002, 0.001),
            ("networks", "a", "torch", 0.003, 0.002),
            ("training", "b", "native", 0.0018, 0.0012),
            ("training", "no second thread", "native", 0.01, None),
        )
        for threads, seconds in ((1, one), (2, two))
        if seconds
    ]
    lines = [line.split() for line in tables.scaling(made).splitlines()]
    assert lines[0] == ["case", "minidl", "torch"]
    assert lines[2:] == [
        ["a", "2.00", "1.50"],
        ["b", "1.50"],
        ["geometric", "mean", "1.73", "1.50"],
        ["worst:", "b", "1.50"],
    ]
    assert "Training steps above 1.00 ms on one thread: times as fast on 2 threads" in tables.render(made)
    found = {line.what: line for line in summary.lines(made)}
    line = found["2 training steps above 1.00 ms against those on one thread, geometric mean"]
    assert (line.threads, line.ours, line.theirs) == (2, "1.73 (worst 1.50)", "1.50 (worst 1.50)")


def test_memory_of_a_prediction():
    made = report()
    for case, own, other in (("a, 1 image", 10_000_000, 25_000_000), ("b, 1 image", 20_000_000, 20_000_000)):
        made.records.append(Record("memory", case, "predict", "native", 2, bytes=own))
        made.records.append(Record("memory", case, "predict", "onnxruntime", 2, bytes=other))
    lines = [line.split() for line in tables.memory(made, "predict").splitlines()]
    assert lines[3] == ["a,", "1", "image", "onnxruntime", "25.0", "MB", "2.50"]
    assert lines[5] == ["b,", "1", "image", "onnxruntime", "20.0", "MB", "1.00"]
    assert [line.split()[:2] for line in tables.memory(made, "step").splitlines()[2:]] == [
        ["VGG", "native"],
        ["VGG", "torch"],
    ]
    found = {line.what: line for line in summary.lines(made)}
    what = (
        "peak memory of predicting 1 image, 2 networks, against ONNX Runtime: geometric mean (worst 1.00: b, 1 image)"
    )
    assert found[what].ratio == pytest.approx(2.5**0.5)
    assert found["VGG: peak memory of training"].ratio == pytest.approx(2.7)


# ---- what comes out ----


def test_exponents_of_growth():
    grown = report()
    for n in (1, 2, 4):
        grown.records.append(Record("growth", f"batch {n}", "step", "native", 2, 0.1 * n, 5))
        grown.records.append(Record("growth", f"size {n}", "step", "native", 2, 0.1 * n**3, 5))
    assert [line.split() for line in tables.exponents(grown).splitlines()][2:] == [["batch", "1.00"], ["size", "1.50"]]


def report() -> Report:
    records = [
        Record(suite, "64,32,32,32,3", measure, name, 2, calls * seconds, 5, calls * 10**9, error=1e-6)
        for suite, measure, calls in (
            ("elementwise", "forward", 1),
            ("elementwise", "backward", 1),
            ("layers", "both", 2),
        )
        for name, seconds in (("native", 0.01), ("torch", 0.03), ("torch:channels_last", 0.02))
    ]
    records.append(Record("networks", "seed network, batch 100", "step", "native", 2, 0.001, 5, images=100))
    records.append(Record("networks", "seed network, batch 100", "step", "torch", 2, 0.0065, 5, images=100))
    records.append(Record("networks", "seed network, batch 100", "step", "native", 1, 0.0019, 5, images=100))
    records.append(Record("memory", "VGG", "step", "native", 2, bytes=100_000_000))
    records.append(Record("memory", "VGG", "step", "torch", 2, bytes=270_000_000))
    for measure, seconds in (("step", 0.001), ("product", 0.003), ("pair", 0.005)):
        records.append(Record("cohabitation", "seed", measure, "native", 2, seconds, 5))
    machine = {"cpu": "A CPU", "cores": 2, "instruction_sets": ["avx2"], "system": "Linux", "python": "3.11"}
    machine |= {"numpy": "2.0", "environment": {}, "unset": ["OPENBLAS_CORETYPE"], "load": None}
    versions = {"native": "minidl 1", "torch": "PyTorch 2"}
    return Report(machine, {"repeats": 5}, versions, {"2": 400.0}, "torch", ["jax does not start"], records)


def test_report_survives_json(tmp_path):
    path = tmp_path / "deep" / "benchmark.json"
    report().save(path)
    assert Report.load(path) == report()
    path.write_text('{"format": 99}')
    with pytest.raises(ValueError, match="is not a report"):
        Report.load(path)


def test_tables():
    text = tables.render(report())
    lines = [line.split() for line in text.splitlines()]
    assert [
        "64,32,32,32,3",
        "both",
        "20.0",
        "ms",
        "60.0",
        "ms",
        "40.0",
        "ms",
        "100",
        "25",
        "%",
        "1e-06",
        "2.00",
    ] in lines
    assert ["64,32,32,32,3", "20.0", "ms", "40.0", "ms", "torch:channels_last", "100", "2.00"] in lines
    assert "OPENBLAS_CORETYPE unset for all contenders" in text
    assert "note: jax does not start" in text
    assert "10.0 us" in next(line for line in text.splitlines() if line.startswith("seed network, batch 100"))
    assert "400 GFLOP/s on 2 threads" in text


@pytest.mark.parametrize(
    ("value", "text"), [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (0.000_123_4, "123 us"), (5e-7, "0.50 us"), (None, "")]
)
def test_seconds(value, text):
    assert tables.seconds(value) == text


def test_summary():
    found = {line.what.partition(":")[0]: line for line in summary.lines(report())}
    assert found["seed network, batch 100"].ratio == pytest.approx(6.5)
    assert found["1 convolution layers, forward + backward"].ratio == pytest.approx(2.0)
    assert found["1 training steps against those on one thread, geometric mean"].ours == "1.90 (worst 1.90)"
    assert found["VGG"].ours == "100 MB"
    assert found["VGG"].ratio == pytest.approx(2.7)
    assert found["training step and numpy matrix product in turn, against the sum of both alone"].ours == "1.25"


def test_readme_is_rewritten_between_the_marks(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- benchmark -->\nold\n<!-- /benchmark -->\nbelow\n")
    report().save(tmp_path / "benchmark.json")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    for _ in range(2):
        assert command.main(["--load", str(tmp_path / "benchmark.json"), "--readme", "--backends", "im2col"]) == 0
        text = readme.read_text()
        assert text.startswith("above\n<!-- benchmark -->\nA CPU, 2 cores, avx2; minidl 1, PyTorch 2, numpy 2.0.\n")
        assert "| seed network, batch 100: step | 2 | 1.00 ms | 6.50 ms | **6.50** |\n" in text
        assert text.endswith("|\n<!-- /benchmark -->\nbelow\n")
        assert "old" not in text


@pytest.mark.parametrize("text", ["none", "<!-- /benchmark --> <!-- benchmark -->", "<!-- benchmark -->"])
def test_readme_without_marks_is_left_alone(tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ValueError, match="must contain <!-- benchmark -->"):
        summary.rewrite(readme, report())
    assert readme.read_text() == text


def test_the_command_refuses_bad_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("no marks")
    (tmp_path / "other.json").write_text("[]")
    for options, message in (
        (["--readme"], "must contain <!-- benchmark -->"),
        (["--load", str(tmp_path / "other.json")], "is not a report"),
        (["--load", str(tmp_path / "missing.json")], "missing.json"),
    ):
        assert command.main([*options, "--backends", "im2col"]) == 2
        assert message in capsys.readouterr().err


def test_the_command_measures_and_writes(tmp_path, capsys):
    options = "--quick --only inference,memory,cohabitation --backends im2col --threads 1 --repeats 1 --out"
    assert command.main([*options.split(), str(tmp_path)]) == 0
    found = Report.load(tmp_path / "benchmark.json")
    assert {r.suite for r in found.records} == {"peak", "inference", "memory", "cohabitation"}
    assert found.peak_gflops["1"] > 0
    assert {r.measure for r in found.find("memory")} == {"step", "predict"}
    assert all((r.bytes or 0) > 0 for r in found.find("memory"))
    out = capsys.readouterr().out
    assert "taking part: im2col" in out
    assert "Inference, 1 thread" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "kernel"], "there is no suite kernel"),
        (["--backends", "caffe"], "unknown contender 'caffe'"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--threads", "many"], "many"),
        (["--repeats", "0"], "--repeats must be at least 1"),
        (["--seconds", "-1"], "--seconds must be at least 0"),
        (["--networks", "resnet20,lenet"], "there is no network lenet"),
        (["--compilation", "0"], "--compilation must be more than 0"),
        (["--batches", "0"], "--batches must be at least 1"),
    ],
)
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        command.arguments(options)
    assert message in capsys.readouterr().err


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import pictures

    drawn = report()
    for name, seconds in (("native", 0.01), ("torch", 0.02)):
        for case, suite in (("4 channels", "channels"), ("8 channels", "channels")):
            for measure in ("forward", "backward"):
                drawn.records.append(Record(suite, case, measure, name, 2, seconds, 5, 10**9))
        for threads in (1, 2):
            drawn.records.append(Record("threads", "seed", "step", name, threads, seconds / threads, 5))
        for kind in ("batch", "size", "depth"):
            for n in (1, 2):
                drawn.records.append(Record("growth", f"{kind} {n}", "step", name, 2, n * seconds, 5))
    assert [path.name for path in pictures.draw(drawn, tmp_path)] == ["channels.png", "threads.png", "growth.png"]
    assert all(path.stat().st_size > 5000 for path in tmp_path.iterdir())
