/*
slice: indian_desserts
description: Desserts from Indian cuisine, by the metadata
expect:
  - count >= 30
  - accuracy >= 60%
  - accuracy no worse than baseline by 0.02
*/
split = 'test' AND label = 'Dessert' AND cuisine = 'Indian'
