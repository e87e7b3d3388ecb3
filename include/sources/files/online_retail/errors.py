"""Why an export cannot be read."""


class ExportRefused(ValueError):
    """The file is not a readable Online Retail export. The message names the file, the fault and the mend."""
