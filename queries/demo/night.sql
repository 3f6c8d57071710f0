/*
slice: night
description: Dim light
expect:
  - accuracy >= 75%
  - accuracy no worse than baseline by 0.02
*/
split = 'test' AND light = 'night'
