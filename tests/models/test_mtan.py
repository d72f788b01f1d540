import numpy as np
import pytest
from some_cases import some

from jaxmtl.models import MTAN


def relu(z):
    return np.maximum(z, 0.0)


FORWARD = [((1, 3, 2), None), ((2,), 2), ((1, 2), 2)]


@pytest.mark.parametrize("case", some(FORWARD, FORWARD[2]))
def test_forward(drawn, close, case):
    outputs, attention = case
    model = MTAN(layers=(6, 4, 5), attention=attention, outputs=outputs)
    case = drawn(model)
    p, rows, masks = case.params64, [], [[], [], []]

    def dense(name, x, t=None):
        kernel, bias = p[name]["kernel"], p[name]["bias"]
        return x @ kernel + bias if t is None else x @ kernel[t] + bias[t]

    for row in case.x64:
        columns = []
        row_masks = [[], [], []]
        for t in range(len(outputs)):
            shared, attended = row, None
            for j in range(3):
                u = relu(dense(f"lower_{j}", shared))
                shared = relu(dense(f"upper_{j}", u))
                seen = u
                if j > 0:
                    seen = np.concatenate([u, relu(dense(f"carry_{j}", attended, t))])
                mask = 1 / (1 + np.exp(-dense(f"mask_{j}", relu(dense(f"focus_{j}", seen, t)), t)))
                attended = mask * shared
                row_masks[j].append(mask)
            heads = p["heads"]
            if len(outputs) == 1:
                out = {k: v[0] for k, v in heads["output"].items()}
            else:
                out = heads[f"output_{t}"]
            columns.extend(attended @ out["kernel"] + out["bias"])
        rows.append(columns)
        for j in range(3):
            masks[j].append(row_masks[j])
    close(case.apply(), rows)
    for ours, literal in zip(case.apply("masks"), masks, strict=True):
        close(ours, np.array(literal))


def test_bad_fields():
    with pytest.raises(ValueError, match="attention: expected a number > 0, got 0"):
        MTAN(attention=0)
    with pytest.raises(ValueError, match="layers: expected one or more whole sizes"):
        MTAN(layers=())
