"""The boundary of trainability: pictures of two learning rates, how fractal their boundary is, and what its dimension follows from."""

from __future__ import annotations

from .boxes import BoxCounting as BoxCounting
from .boxes import box_counting_dimension as box_counting_dimension
from .boxes import edges as edges
from .picture import Trainability as Trainability
from .picture import trainability as trainability
from .saddle import EscapeRate as EscapeRate
from .saddle import SaddleDimension as SaddleDimension
from .saddle import SaddleExponent as SaddleExponent
from .saddle import escape_rate as escape_rate
from .saddle import kantz_grassberger as kantz_grassberger
from .saddle import lifetimes as lifetimes
from .saddle import saddle_exponent as saddle_exponent
from .uncertainty import UncertaintyExponent as UncertaintyExponent
from .uncertainty import uncertainty_exponent as uncertainty_exponent
from .view import draw as draw
from .view import power_of_ten as power_of_ten
from .view import rates as rates
from .wada import ShrinkingSegments as ShrinkingSegments
from .wada import shrinking_segments as shrinking_segments
