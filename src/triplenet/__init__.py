"""Classification and visual explanation of pneumonia on chest CT by triple learning.

Research software, not a medical device.
"""

__version__ = "0.1.0"
