"""Where somebody lets an edit show: a mask or a region, its border softened inwards."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Bound = npt.NDArray[np.uint8]  # height x width, 255 = may change


def softened(bound: Bound, reach: int) -> Bound:
    """Return the bound with borders that rise from 0 to full within 2 * `reach` pixels inside.

    Where it is 0 it stays 0; along the picture's own borders nothing is softened.
    """
    side = 2 * reach + 1
    core = cv2.erode(bound, np.ones((side, side), np.uint8))
    soft = cv2.blur(core, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(soft, bound), np.uint8)
