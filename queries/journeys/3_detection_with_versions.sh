#!/bin/sh -e
# Detection with versions. Needs numbers/ with COCO annotations, and your training code (3_train.py
# beside this file), which branches, trains, and commits the loss of every picture.
HERE=$(dirname "$0")

python "$HERE/3_train.py"
slicedb delete "rcnn_loss > 0 ORDER BY rcnn_loss DESC LIMIT 2" --yes --commit "two pictures less"
slicedb predict rcnn --on "part = 'val'" --commit "predicted the validation set"
slicedb "part = 'val' ORDER BY rcnn.iou LIMIT 6" -o worst.html
slicedb checkout main
slicedb branch training_run --drop
