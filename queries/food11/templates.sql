/*
slice: food11_templates
description: Every food on every background with every extra, composed; the table does not matter
decide: point            # nine foods are too few for an interval that clears 80 %
expect:
  - accuracy over compositions >= 80%
  - invariance(background) >= 60%
  - invariance(extra) >= 60%
*/
split = 'templates'
