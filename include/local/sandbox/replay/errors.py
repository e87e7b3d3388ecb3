"""Why a file cannot be replayed."""


class ReplayRefused(ValueError):
    """The file is not a readable Online Retail export. The message names the file, the fault and the mend."""
