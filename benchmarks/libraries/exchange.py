"""ONNX Runtime, OpenVINO and ncnn: inference of a network written as an ONNX file."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import networks, tasks
from benchmarks.contenders import Contender
from benchmarks.tasks import Case, Unsupported

Predict = Callable[[], np.ndarray]


class Library:
    """contender: onnxruntime, openvino or ncnn. threads: of the session, the compiled model or the net."""

    def __init__(self, contender: Contender, threads: int) -> None:
        self.base, self.threads = contender.base, threads
        if self.base == "onnxruntime":
            import onnxruntime

            self.version = f"ONNX Runtime {onnxruntime.__version__}"
        elif self.base == "openvino":
            import openvino

            self.version = f"OpenVINO {openvino.__version__.partition('-')[0]}"
        else:
            import ncnn

            self.version = f"ncnn {ncnn.__version__}"

    def prepare(self, task: tasks.Task) -> Case:
        """Prediction only; the number of images is fixed in the model, as these libraries like it."""
        if not isinstance(task, tasks.Prediction):
            raise Unsupported("inference only")
        images = task.network.batch_of(task.images)[0]
        prepare = {"onnxruntime": self._onnxruntime, "openvino": self._openvino, "ncnn": self._ncnn}[self.base]
        if isinstance(task, tasks.Loaded):
            predict = prepare(Path(task.folder) / tasks.ONNX, images)
            return Case({"predict": predict}, lambda: {"logits": np.array(predict())})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / tasks.ONNX
            write(task.network, 1 if self.base == "ncnn" else task.images, path)
            predict = prepare(path, images)
        return Case({"predict": predict}, lambda: {"logits": np.array(predict())})

    def _onnxruntime(self, path: Path, images: np.ndarray) -> Predict:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"input": images})[0]

    def _openvino(self, path: Path, images: np.ndarray) -> Predict:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        model = core.read_model(path.read_bytes())  # a file would stay open
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda: request.infer([images], share_inputs=True)[0]

    def _ncnn(self, path: Path, images: np.ndarray) -> Predict:
        """One image after the other: ncnn knows no batches."""
        import ncnn
        import pnnx

        sizes = ",".join(map(str, (1, *images.shape[1:])))
        command = [pnnx.EXEC_PATH, path.name, f"inputshape=[{sizes}]", "fp16=0"]
        subprocess.run(command, cwd=path.parent, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        net = ncnn.Net()
        net.opt.num_threads = self.threads
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        files = (str(path.with_suffix(ending)) for ending in (".ncnn.param", ".ncnn.bin"))
        if net.load_param(next(files)) or net.load_model(next(files)):
            raise Unsupported("ncnn does not load what pnnx has converted")
        into, out = net.input_names()[0], net.output_names()[0]

        def one(image: np.ndarray) -> np.ndarray:
            extractor = net.create_extractor()
            extractor.input(into, ncnn.Mat(image))
            return np.array(extractor.extract(out)[1])

        return lambda: np.stack([one(image) for image in images])


def write(network: networks.Network, n: int, path: Path) -> None:
    """The network for n images as an ONNX file, from "input" to "output", with the common weights."""
    # Not above: a process that only reads such a file is to have the memory of ONNX Runtime, OpenVINO or ncnn alone.
    import onnx

    import minidl.onnx
    from benchmarks.libraries.own import build

    minidl.onnx.save(build(network, np.dtype("float32")), path, network.input)
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = n
    onnx.checker.check_model(model)
    onnx.save(model, path)
