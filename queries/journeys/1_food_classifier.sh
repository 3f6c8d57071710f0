#!/bin/sh -e
# Offline evaluation of a food classifier. Needs food-11/ (training, validation and evaluation, a
# folder per class), model.py (or the saved .pth), special.csv (path, label, special), templates/
# (food/CLASS, background, extras) and queries/ with the bounds.

slicedb ingest food-11/ special.csv
slicedb model add food11 model.py:build
slicedb evaluate food11 --on "split = 'evaluation'" --per-class
slicedb confusion food11 --on "split = 'evaluation'" -o confusion.html
slicedb cam food11 --on "split = 'evaluation' AND NOT food11.correct ORDER BY food11.loss DESC LIMIT 5" -o looked_at.html
slicedb behaviour run food11 templates/ --expect "accuracy >= 0.3" --html templates.html
slicedb test queries/ --model food11 --html report.html   # or: pytest queries/ --slicedb-db data.slicedb --slicedb-model food11 -v
