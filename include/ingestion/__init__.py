"""From an API's answer to a merged table: landing, validation, quarantine, receipts."""
