"""ONNX Runtime and OpenVINO: inference of a network written as an ONNX model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import networks, tasks
from benchmarks.contenders import Contender
from benchmarks.tasks import Case, Unsupported


class Library:
    """contender: onnxruntime or openvino. threads: of the session or the compiled model."""

    def __init__(self, contender: Contender, threads: int) -> None:
        self.base, self.threads = contender.base, threads
        if self.base == "onnxruntime":
            import onnxruntime

            self.version = f"ONNX Runtime {onnxruntime.__version__}"
        else:
            import openvino

            self.version = f"OpenVINO {openvino.__version__.partition('-')[0]}"

    def prepare(self, task: tasks.Task) -> Case:
        """Prediction only; the number of images is fixed in the model, as these libraries like it."""
        if not isinstance(task, tasks.Prediction):
            raise Unsupported("inference only")
        images = task.network.batch_of(task.images)[0]
        model = build(task.network, task.images).SerializeToString()
        predict = self._onnxruntime(model, images) if self.base == "onnxruntime" else self._openvino(model, images)
        return Case({"predict": predict}, lambda: {"logits": np.array(predict())})

    def _onnxruntime(self, model: bytes, images: np.ndarray):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"x": images})[0]

    def _openvino(self, model: bytes, images: np.ndarray):
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
        return lambda: request.infer([images], share_inputs=True)[0]


def build(network: networks.Network, n: int) -> onnx.ModelProto:
    """The network for n images as an ONNX model, from "x" to "y", with the common weights."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    rest = iter(network.parameters())
    last = "x"
    for layer in network.layers:
        operator, attributes, parameters = _layer(layer, rest)
        names = [f"p{len(weights) + i}" for i in range(len(parameters))]
        weights += [numpy_helper.from_array(p, name) for p, name in zip(parameters, names, strict=True)]
        nodes.append(helper.make_node(operator, [last, *names], [f"t{len(nodes)}"], **attributes))
        last = nodes[-1].output[0]
    nodes[-1].output[0] = "y"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (n, *network.input))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (n, network.classes))
    graph = helper.make_graph(nodes, network.key, [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _layer(spec: networks.Spec, rest: Iterator[np.ndarray]) -> tuple[str, dict[str, object], list[np.ndarray]]:
    """-> ONNX operator, attributes, parameters."""
    match spec:
        case networks.Conv(_, _, _, stride, padding, bias):
            attributes: dict[str, object] = {"strides": [stride] * 2, "pads": [padding] * 4}
            return "Conv", attributes, [next(rest) for _ in range(1 + bias)]
        case networks.Linear():
            return "Gemm", {"transB": 1}, [next(rest), next(rest)]
        case networks.Pool(kind, size):
            return (
                ("MaxPool" if kind == "max" else "AveragePool"),
                {"kernel_shape": [size] * 2, "strides": [size] * 2},
                [],
            )
        case networks.Relu():
            return "Relu", {}, []
        case networks.Flatten():
            return "Flatten", {}, []
        case _:
            raise Unsupported(f"{type(spec).__name__} is not written for ONNX")
