#!/bin/sh -e
# Model evaluation for mouldy lemons. Needs lemons/table.csv (path, label, fruit_id, taken_at, person), v1.csv (id and
# a probability per class), queries/validation.sql and final/held_out.sql, each a part by fruit with its bounds.

slicedb ingest lemons/table.csv
slicedb log-predictions v1 v1.csv
slicedb test queries/ --model v1 --html validation.html
slicedb errors v1 --on validation --sure 0.9 --unsure 0.7 -n 50 -o errors.html
slicedb cost v1 --on validation --positive mould --false-positive 0.25 --false-negative 1.5 --human person --calibrate -o cost.html
slicedb test final/ --model v1 --html final.html
