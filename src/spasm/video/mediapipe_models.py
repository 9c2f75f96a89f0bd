"""Build the bundles for MediaPipe's PoseLandmarker from the npm package that Google publishes.

mediapipe ships no model. The package @mediapipe/pose (Apache-2.0) holds the same networks for browsers. A bundle
also needs metadata that MediaPipe reads: the scaling of pictures.
"""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from spasm.core.errors import DataError
from spasm.core.files import open_regular

PACKAGE = "mediapipe-pose-0.5.1675469404.tgz"
DETECTOR = "pose_solution_packed_assets.data"
# The sha256 of the files of the package, and of each bundle.
SOURCES = {
    DETECTOR: "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
    "pose_landmark_lite.tflite": "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    "pose_landmark_full.tflite": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "pose_landmark_heavy.tflite": "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
}
BUNDLES = {
    "lite": "c78208b20a5c929880972fd3865be2e2a6e0610cb874fce253bd12770aa78704",
    "full": "cf239b569657a53b6664a2a35ddc785a20d48815cbbe49be603eb602fd8a963f",
    "heavy": "56b254d518161bb00d2dbc2b4fd1019eaedbc24eef839eb43bd1a96db7f377ca",
}
DETECTOR_SCALE = (127.5, 127.5)  # mean and standard deviation for a picture of 0 to 255
LANDMARKER_SCALE = (0.0, 255.0)
LARGEST = 200_000_000  # bytes of the package, unpacked
DATE = (2020, 1, 1, 0, 0, 0)  # in the bundles; always the same, for equal bytes


def read_package(path: Path) -> dict[str, bytes]:
    """The needed files of the npm package by name. Raises DataError if their sha256 is wrong."""
    found: dict[str, bytes] = {}
    hint = f"fetch it again: npm pack @mediapipe/pose@0.5.1675469404 writes {PACKAGE}"
    with open_regular(path) as (file, _):
        try:
            with tarfile.open(fileobj=file, mode="r:gz") as package:
                for entry in package:
                    name = entry.name.removeprefix("package/")
                    content = package.extractfile(entry) if name in SOURCES and entry.isreg() else None
                    if content is not None and entry.size < LARGEST:
                        found[name] = content.read()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DataError(path, f"is no npm package ({error})", hint) from error
    for name, digest in SOURCES.items():
        if hashlib.sha256(found.get(name, b"")).hexdigest() != digest:
            raise DataError(path, f"does not hold the {name} that is expected", hint)
    return found


def bundles(sources: dict[str, bytes]) -> dict[str, bytes]:
    """The three bundles by name, from the files of `read_package`; always the same bytes."""
    detector = with_metadata(sources[DETECTOR], DETECTOR_SCALE)
    made = {}
    for name in BUNDLES:
        landmarker = with_metadata(sources[f"pose_landmark_{name}.tflite"], LANDMARKER_SCALE)
        with io.BytesIO() as content:
            with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as bundle:
                bundle.writestr(zipfile.ZipInfo("pose_detector.tflite", DATE), detector)
                bundle.writestr(zipfile.ZipInfo("pose_landmarks_detector.tflite", DATE), landmarker)
            made[name] = content.getvalue()
    return made


def with_metadata(model: bytes, scale: tuple[float, float]) -> bytes:
    """A TensorFlow Lite model with metadata on the scaling of pictures, by mean and standard deviation.

    It uses flatbuffers and the schemas inside mediapipe, because mediapipe's own metadata writer cannot be imported.
    """
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
    from mediapipe.tasks.metadata import schema_py_generated as schema

    options = metadata.NormalizationOptionsT()
    options.mean, options.std = [[value] for value in scale]
    unit = metadata.ProcessUnitT()
    unit.optionsType, unit.options = metadata.ProcessUnitOptions.NormalizationOptions, options
    picture = metadata.ImagePropertiesT()
    picture.colorSpace = metadata.ColorSpaceType.RGB
    content = metadata.ContentT()
    content.contentPropertiesType, content.contentProperties = metadata.ContentProperties.ImageProperties, picture
    tensor = metadata.TensorMetadataT()
    tensor.name, tensor.content, tensor.processUnits = "image", content, [unit]
    graph = metadata.SubGraphMetadataT()
    graph.inputTensorMetadata = [tensor]
    whole = metadata.ModelMetadataT()
    whole.subgraphMetadata, whole.minParserVersion = [graph], "1.0.0"
    builder = flatbuffers.Builder(0)
    builder.Finish(whole.Pack(builder), b"M001")

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = builder.Output()
    entry.name, entry.buffer = "TFLITE_METADATA", len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    builder = flatbuffers.Builder(len(model) + 65536)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
