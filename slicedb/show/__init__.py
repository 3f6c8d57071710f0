"""Show results to people: text tables, numbers, HTML and SVG, the same on every surface.

numbers   counts, percentages, intervals, p-values, durations and sizes as text
text      terminal cells, harmless text, and the text table
html      escaping, elements, pictures, and the HTML table
charts    the SVG charts of the report and the page
tabular   the base class of results that print themselves as tables
"""
