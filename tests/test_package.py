"""The package as a whole: what an import loads, what it offers, and what remains where compiled modules are missing."""

import importlib
import importlib.metadata
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl

EXTRAS = {
    "IPython",
    "hypothesis",
    "matplotlib",
    "mpi4py",
    "pandas",
    "PIL",
    "pooch",
    "pytest",
    "scipy",
    "sklearn",
    "skimage",
    "torch",
    "tqdm",
}


def run(code, **env):
    """The JSON that `code` prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_loads_no_extra():
    loaded = run(
        "import sys, json, minidl; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    assert "numpy" in loaded
    assert not EXTRAS & set(loaded)


def test_import_leaves_out_what_few_scripts_ask_for():
    """Random numbers, compression and the checks come with their first use: they took half of the import's time."""
    alone, loaded = (
        set(run(f"import sys, json, {name}; print(json.dumps(list(sys.modules)))")) for name in ("numpy", "minidl")
    )
    late = {
        "checks.gradcheck",
        "checks.lr_range",
        "checks.sanity",
        "layers.capsule",
        "networks.capsules",
        "optim.adam",
        "optim.schedules",
    }
    late = {f"minidl.{name}" for name in late | {"training.callbacks.logs"}} | {"numpy.random", "lzma", "secrets"}
    assert not late & (loaded - alone)


@pytest.mark.parametrize("name", ["callbacks", "data", "functional", "initializers", "plots", "schedules"])
def test_modules_that_pages_name_are_attributes(name):
    module = getattr(minidl, name)
    assert inspect.ismodule(module)
    assert module.__name__.rpartition(".")[2] == name


@pytest.mark.parametrize("package", ["minidl", "minidl.training.callbacks", "minidl.layers", "minidl.optim"])
def test_names_imported_late_are_there_when_asked_for(package):
    code = f"import json\nfrom {package} import *\nimport {package} as package\n"
    code += "print(json.dumps([name for name in package.__all__ if globals()[name] is not getattr(package, name)]))"
    assert run(code) == []
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Capsule'"):
        _ = importlib.import_module(package).Capsule


def test_import_opens_no_file_of_the_data():
    """The embedded digits are read when they are asked for, not before."""
    seen = run(
        "import sys, json; opened = []\n"
        "sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0])))\n"
        "import minidl; print(json.dumps([path for path in opened if path.endswith(('.npz', '.gz', '.bin'))]))"
    )
    assert seen == []


def test_version_is_stated_once():
    assert minidl.__version__ == minidl.version.__version__
    try:
        assert importlib.metadata.version("minidl") == minidl.__version__
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("minidl runs from its source folder")


def test_changelog_tells_of_this_version():
    changelog = Path(__file__).parents[1] / "CHANGELOG.md"
    assert f"\n## {minidl.__version__}" in changelog.read_text(encoding="utf-8")


def test_every_public_name_is_there_and_explained():
    assert len(set(minidl.__all__)) == len(minidl.__all__)
    for name in minidl.__all__:
        value = getattr(minidl, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert value.__doc__, f"{name} has no docstring"


def test_without_compiled_modules_reference_remains():
    left = run(
        "import sys, json\n"
        "sys.modules['minidl._ext.im2col'] = sys.modules['minidl._ext.lanearray'] = None\n"
        "import numpy as np, minidl\n"
        "y = minidl.Conv2D(1, 2, 3).forward(np.ones((1, 1, 4, 4), np.float32))\n"
        "print(json.dumps([minidl.kernels.available(), minidl.kernels.current().name, y.shape]))"
    )
    assert left == [["reference"], "reference", [1, 2, 2, 2]]


WITHOUT_LANES = "import sys; sys.modules['minidl._ext.lanearray'] = None\n"


def in_a_process(code, **env):
    kept = {name: value for name, value in os.environ.items() if name not in ("MINIDL_BACKEND", "PYTHONWARNINGS")}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=kept | env
    )


def test_an_import_without_native_warns_in_one_line_once():
    twice = "import minidl\nimport minidl.optim, minidl.data\nassert minidl.kernels.current().name == 'im2col'"
    (line,) = in_a_process(WITHOUT_LANES + twice).stderr.splitlines()
    assert line.startswith("<string>:2: RuntimeWarning: minidl is installed without its native backend, which GCC 11,")
    assert line.endswith("minidl.show_config() tells more, MINIDL_BACKEND=im2col says that this is all right")


CHOOSES = "import os; os.environ['MINIDL_BACKEND'] = 'im2col'"


@pytest.mark.parametrize("code", ["", WITHOUT_LANES + CHOOSES], ids=["native is there", "im2col is chosen"])
def test_no_warning_where_native_is_there_or_another_backend_was_chosen(code):
    if not code and "native" not in minidl.kernels.available():
        pytest.skip("native is not installed")
    assert in_a_process(f"{code}\nimport minidl").stderr == ""


def test_show_config_tells_what_was_not_compiled():
    code = "import sys; sys.modules['minidl._ext.norm'] = None\nimport minidl; minidl.show_config()"
    rows = dict(line.split(maxsplit=1) for line in in_a_process(code).stdout.splitlines())
    assert rows["native"].startswith("not available in this installation: GCC 11, Clang 14 or newer can compile")
    assert "norm" in rows["native"]
    assert "im2col, reference (in use: im2col)" in rows["backends"]


def test_a_native_backend_that_does_not_load_warns_at_its_first_use():
    code = """if True:
        import sys
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == "minidl._ext.norm":
                    from importlib.machinery import ModuleSpec
                    return ModuleSpec(name, self)
            def create_module(self, spec):
                raise ImportError("undefined symbol: pool_run")
            def exec_module(self, module):
                pass
        sys.meta_path.insert(0, Broken())
        import minidl
        assert minidl.kernels.current().name == "im2col"
    """
    (line,) = in_a_process(code).stderr.splitlines()
    assert "RuntimeWarning: backend 'native' is not available in this installation: undefined symbol: pool_run" in line


def test_a_missing_backend_says_why():
    message = run(
        "import sys, json\n"
        "sys.modules['minidl._ext.im2col'] = None\n"
        "import minidl\n"
        "try:\n    minidl.kernels.use('im2col')\n"
        "except RuntimeError as error:\n    print(json.dumps(str(error)))"
    )
    assert message.startswith("backend 'im2col' is not available in this installation: ")


def test_compiled_modules_do_not_link_numpy():
    """Typed memoryviews only: one build serves numpy 1.26 and 2.x."""
    from minidl._ext import im2col

    assert "__pyx_capi__" not in vars(im2col)
    cols = np.empty((1, 4), np.float32)
    # Any buffer will do, so numpy cannot be needed.
    im2col.im2col(memoryview(bytes(16)).cast("f", (1, 1, 2, 2)), memoryview(cols), 1, 1, 1, 1, 0, 0, 1, 1, 0, 2, 2)
    assert not cols.any()


def test_several_processes_say_what_to_install():
    code = (
        "import sys, json\n"
        "sys.modules['mpi4py'] = None\n"
        "from minidl.mpi import DataParallel\n"
        "try:\n    DataParallel()\n"
        "except ImportError as error:\n    print(json.dumps(str(error)))"
    )
    assert run(code) == "minidl.mpi needs mpi4py and an MPI library: pip install 'minidl[mpi]'"
