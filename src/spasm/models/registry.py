"""All models. A new one needs one file, and one line here."""

import difflib
from collections.abc import Iterable

from spasm.config.fields import SettingsError
from spasm.models.lgbm import LgbmModel
from spasm.models.model import Model
from spasm.models.rocket import RocketModel
from spasm.models.sta_gunet import StaGunetModel
from spasm.models.stam import StamModel
from spasm.models.stgcn_mil import StgcnMilModel
from spasm.models.two_stream import TwoStreamModel
from spasm.models.two_stream_pictures import TwoStreamPicturesModel
from spasm.models.vsvig import VsvigModel
from spasm.models.vsvig_patches import VsvigPatchesModel

# From the fastest to the slowest: models are trained in this order.
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        LgbmModel(),
        RocketModel(),
        StgcnMilModel(),
        StaGunetModel(),
        StamModel(),
        TwoStreamModel(),
        VsvigModel(),
        TwoStreamPicturesModel(),
        VsvigPatchesModel(),
    )
}
POSE_MODELS = tuple(name for name, model in MODELS.items() if model.pictures is None)
"""The models that read poses alone."""
DEFAULT_MODELS = ("lgbm", "rocket", "stgcn_mil")
"""The models that are trained and used in the decision by default."""


def model_named(name: str, flag: str = "--models") -> Model:
    """A model by its name. Raises SettingsError with the nearest name for an unknown one."""
    if name not in MODELS:
        nearest = difflib.get_close_matches(name, MODELS, 1, 0)[0]
        raise SettingsError(f"{flag} {name} is unknown; the nearest is {nearest}, of {', '.join(MODELS)}")
    return MODELS[name]


def models_named(names: Iterable[str], flag: str = "--models") -> tuple[Model, ...]:
    """Models by their names, each once, fastest first. Raises SettingsError for no name and for an unknown one."""
    wanted = {model_named(name, flag).name for name in split_names(names)}
    if not wanted:
        raise SettingsError(f"{flag} names no model; there are {', '.join(MODELS)}")
    return tuple(model for name, model in MODELS.items() if name in wanted)


def split_names(names: Iterable[str]) -> list[str]:
    """Split names at spaces and commas."""
    return [name for part in names for name in part.split(",") if name]
