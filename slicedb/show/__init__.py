"""Show results to people: text tables, numbers, HTML and SVG, the same on every surface.

numbers   counts, percentages, intervals, p-values, durations and sizes as text
text      terminal cells, harmless text, and the text table
html      escaping, elements, pictures, and the HTML table
style     the CSS of everything that is drawn: shades, widths, charts
charts    the SVG charts of notebook, report and page
curves    charts of curves with axes: thresholds, costs, trends
heat      tables whose cells are shaded by their values
tabular   the base class of results that print themselves as tables
"""
