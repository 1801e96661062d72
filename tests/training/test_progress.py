"""What a training shows of itself."""

import io

from vrapp.training.progress import Progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_sees_a_bar_with_the_loss_curve_and_the_time_left() -> None:
    said: list[str] = []
    terminal, clock = Terminal(), Clock()
    progress = Progress(said.append, "shapes", terminal, clock)
    for step in range(1, 51):
        clock.now = float(step)
        progress.tick(step, step / 100, 1.0 / step)
    last = terminal.getvalue().split("\r")[-1]
    assert "shapes ━━━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄┄┄  50%  step 50  0:50 left  loss 0.02 █" in last
    assert last.rstrip().endswith("▁")
    progress(50, {"loss": 0.02, "iou": 0.5})
    assert said == ["shapes: step 50 loss 0.02 iou 0.5"]
    assert not terminal.getvalue().split("\r")[-1].strip()  # the bar made room for the line


def test_the_bar_is_drawn_four_times_a_second_at_most() -> None:
    terminal, clock = Terminal(), Clock()
    progress = Progress(print, "shapes", terminal, clock)
    for step in range(1000):
        clock.now = step / 1000
        progress.tick(step, step / 1000, 1.0)
    assert 3 <= terminal.getvalue().count("\r") <= 4


def test_without_a_terminal_there_is_a_line_now_and_then_in_plain_signs() -> None:
    said: list[str] = []
    clock = Clock()
    progress = Progress(said.append, "shapes", io.StringIO(), clock)
    for step in range(100):
        clock.now = float(step)
        progress.tick(step, step / 100, float("nan") if step == 3 else 1.0)
    assert len(said) == 3
    assert said[0].startswith("shapes #######.................  30%  step 30  1:10 left  loss 1 ")
    assert said[0].isascii()


def test_a_long_run_keeps_the_shape_of_its_curve() -> None:
    progress = Progress(print, "shapes", Terminal(), Clock())
    for step in range(40_000):
        progress.tick(step, step / 1e6, 1.0 - step / 40_000)
    curve = progress._curve()
    assert curve[0] == "█"
    assert curve[-1] == "▁"
    assert list(curve) == sorted(curve, reverse=True)
