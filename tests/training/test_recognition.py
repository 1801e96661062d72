"""The classifier that names samples, and the file that it is kept in."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_shapes import balls_and_blocks

from vrapp.models.classifier import DESCRIPTOR, ClassifierConfig, ShapeClassifier, descriptor
from vrapp.training import recognition
from vrapp.training.recognition import ClassifierTraining, Recogniser, judge
from vrapp.training.shape_data import ShapeData

PLAN = ClassifierTraining(epochs=40, variants=1, batch=8)
SIDES = (10.0, 12.0, 14.0, 16.0, 18.0)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[ShapeData]:
    """The models that a classifier was trained on."""
    seen: list[ShapeData] = []

    def untrained(shapes: ShapeData, plan: ClassifierTraining) -> ShapeClassifier:
        seen.append(shapes)
        return ShapeClassifier(ClassifierConfig(len(shapes.categories))).eval()

    monkeypatch.setattr(recognition, "train_classifier", untrained)
    return seen


def test_other_models_of_the_same_names_have_a_classifier_of_their_own(
    tmp_path: Path, trainings: list[ShapeData]
) -> None:
    one, other = balls_and_blocks((12.0, 16.0)), balls_and_blocks((13.0, 16.0))
    assert one.files == other.files
    first = judge(one, tmp_path, PLAN)
    judge(other, tmp_path, PLAN)
    judge(replace(one, look=one.look.flip(1)), tmp_path, PLAN)
    assert len(trainings) == 3
    again = judge(replace(one, files=("w", "x", "y", "z")), tmp_path, PLAN)
    assert len(trainings) == 3
    assert torch.equal(first.hidden.weight, again.hidden.weight)


def test_a_file_that_a_kill_cut_off_is_written_anew(tmp_path: Path, trainings: list[ShapeData]) -> None:
    shapes = balls_and_blocks((12.0, 16.0))
    judge(shapes, tmp_path, PLAN)
    (file,) = tmp_path.iterdir()
    whole = file.stat().st_size
    for wrong in (file.read_bytes()[:3000], b""):
        file.write_bytes(wrong)
        judge(shapes, tmp_path, PLAN)
        assert file.stat().st_size == whole
    assert len(trainings) == 3
    torch.save({"of": torch.zeros(1)}, file)  # another version's
    judge(shapes, tmp_path, PLAN)
    assert len(trainings) == 4
    assert list(tmp_path.iterdir()) == [file]


def test_it_names_what_it_was_trained_on_and_test_models(tmp_path: Path) -> None:
    train, test = balls_and_blocks(SIDES), balls_and_blocks((11.0, 13.0, 17.0))
    recogniser = Recogniser(train, test, tmp_path, PLAN)
    assert recogniser.on_test == 1.0
    distance, look = test.batch(torch.arange(6), torch.Generator(), None)
    right, named = recogniser.figures(distance, look, test.category)
    assert right["named"] == right["named_ratio"] == right["named_top5"] == 1.0
    assert named.all()
    assert right["frechet_features"] == pytest.approx(0.0, abs=0.01)
    wrong, named = recogniser.figures(distance, look, 1 - test.category)
    assert wrong["named"] == 0.0
    assert not named.any()


def test_a_descriptor_tells_shape_colour_and_silhouettes() -> None:
    shapes = balls_and_blocks((12.0,))
    distance, look = shapes.batch(torch.arange(2), torch.Generator(), None)
    told = descriptor(distance, look)
    assert told.shape == (2, DESCRIPTOR)
    # Same colours: 13 voxels square from each side for the block, less for the ball.
    from_the_side = told[:, -(32**2) :].sum(1)
    assert float(from_the_side[1]) == pytest.approx(0.5 * 12**2, rel=0.02)
    assert float(from_the_side[0]) == pytest.approx(0.5 * torch.pi * 6**2, rel=0.1)
    blue = look.clone()
    blue[:, [0, 2]] = look[:, [2, 0]]
    changed = (descriptor(distance, blue) != told).any(0)
    colours = slice(16**3, 16**3 + 3 * 8**3)
    assert changed[colours].any()
    changed[colours] = False
    assert not changed.any()


def test_its_components_are_as_strong_as_each_other() -> None:
    torch.manual_seed(0)
    model = ShapeClassifier(ClassifierConfig(2, components=3, hidden=4))
    known = torch.randn(200, 3) * torch.tensor([8.0, 4.0, 2.0])
    directions = torch.linalg.qr(torch.randn(DESCRIPTOR, 3)).Q
    model.fit_basis(known @ directions.T + 5.0)
    found = model.components(known @ directions.T + 5.0)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(3), atol=0.02, rtol=0)
    assert model(found).shape == (200, 2)
