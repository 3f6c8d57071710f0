#!/bin/sh -e
# A bear classifier from pictures of the web. Needs bears/ with a folder per class, and your training code
# (5_train.py beside this file).
HERE=$(dirname "$0")

slicedb ingest bears/
python "$HERE/5_train.py" bears_1
slicedb errors bears_1 -n 8 -o errors.html
slicedb relabel "id = 'teddy/stray.jpg'" black --commit "cleaned"
slicedb try bears_1 photo.jpg
slicedb behaviour corrupt bears_1 --on valid --kind gaussian_noise --severity 3 -o weather.html
