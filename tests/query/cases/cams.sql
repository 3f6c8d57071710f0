-- case: most of the map in the border
-- ids: a1, a2, b1, c1
cam_border(m1, width => 0.3) > 0.5
-- case: the border by default is a seventh of each side
-- rows: [["a1", 0.49], ["c1", 0.49]]
SELECT id AS name, round(cam_border(), 2) FROM samples WHERE id IN ('a1', 'c1')
-- case: no map, and a map of zeros, is null
-- ids: a3, b2, b3, c2, c3, d1
cam_border('m1') IS NULL
-- case: a box in pixels, cut by area
-- rows: [["a1", 0.5], ["a2", 0.583]]
SELECT id AS name, round(cam_mass_in(0, 0, 15, 10), 3) FROM samples WHERE id IN ('a1', 'a2')
-- case: a box of columns
-- rows: [["a1", 0.5], ["b1", 0.0], ["c1", 0.063]]
SELECT id AS name, round(cam_mass_in(0, 0, width / 2, height / 2, model => 'm1'), 3) FROM samples
WHERE id IN ('a1', 'b1', 'c1')
-- case: annotated boxes of a label; no such box is null
-- rows: [["a1", 1.0], ["a2", null], ["b1", null], ["c1", 0.0]]
SELECT id AS name, round(cam_mass_in('car'), 3) FROM samples WHERE id IN ('a1', 'a2', 'b1', 'c1')
-- case: all annotated boxes
-- rows: [["a1", 1.0], ["a2", 0.21], ["b1", null]]
SELECT id AS name, round(cam_mass_in(), 3) FROM samples WHERE id IN ('a1', 'a2', 'b1')
-- case: a box that is not known is null
-- ids:
cam_mass_in(0, 0, NULL, 5) IS NOT NULL OR cam_points_at(0, 0, NULL, 5) IS NOT NULL
-- case: the strongest cell
-- rows: [["a1", true], ["a2", true], ["b1", null], ["b2", null], ["c1", false]]
SELECT id AS name, cam_points_at() FROM samples WHERE id IN ('a1', 'a2', 'b1', 'b2', 'c1')
-- case: the strongest cell of zeros is nowhere
-- rows: [["b1", true], ["b2", false]]
SELECT id AS name, cam_points_at(0, 0, width, height) FROM samples WHERE id IN ('b1', 'b2')
-- case: with a model's columns and in an aggregate
-- rows: [[2, 1.0]]
SELECT count(*), avg(m1.correct::INT) FROM samples WHERE cam_points_at('car') OR cam_points_at('person')
-- case: a model without maps
-- error: BindError 1:12 'm2' m1
cam_border(m2) > 0.5
-- case: a width that is none
-- error: BindError 1:21 '0.5' 0.1
cam_border(width => 0.5) > 0.5
-- case: half a box
-- error: BindError 1:1 'cam_mass_in(1, 2)' pixels
cam_mass_in(1, 2) > 0.5
