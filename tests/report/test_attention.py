"""The picture of attention weights."""

import matplotlib.image
import numpy as np
import pytest

from meta_gan.report import save_attention

TOKENS = ("generator/kernel", "generator/bias", "discriminator/kernel", "game")


def dark(path, weights):
    """The dark share of the picture; the largest weights are dark."""
    save_attention(path, TOKENS, weights)
    return float((matplotlib.image.imread(path)[..., :3].mean(-1) < 0.05).mean())


def test_dark_cells_are_large_shares(tmp_path):
    """All tokens attend to one: a column of four cells is black. Each attends to itself: a diagonal of four. Uniform
    attention: every cell has the largest weight. The last block is drawn, and the mean of its heads."""
    column = np.tile(np.eye(4)[1], (4, 1))
    one, itself = dark(tmp_path / "a.png", column[None, None]), dark(tmp_path / "b.png", np.eye(4)[None, None])
    everywhere = dark(tmp_path / "c.png", np.full((1, 1, 4, 4), 0.25))
    assert one == pytest.approx(itself, rel=0.1) and everywhere > 2.5 * one
    blocks = np.stack([np.full((2, 4, 4), 0.25), np.stack([column, column])])
    assert dark(tmp_path / "d.png", blocks) == pytest.approx(one, rel=1e-6)
    heads = np.stack([np.tile(np.eye(4)[i], (4, 1)) for i in range(4)])[None]
    assert dark(tmp_path / "e.png", heads) == pytest.approx(everywhere, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (1, 4, 4), (1, 1, 4, 3), (0, 1, 4, 4)])
def test_other_shapes_are_refused(shape, tmp_path):
    with pytest.raises(ValueError, match=r"'weights' must have the shape \[blocks, heads, 4, 4\] for 4 tokens"):
        save_attention(tmp_path / "a.png", TOKENS, np.zeros(shape))
    assert not list(tmp_path.iterdir())
