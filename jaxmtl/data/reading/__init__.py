"""From a workbook or text table to the numbers of its columns."""
