-- case: the share of a class in the label map; ignored pixels do not count
-- rows: [["a1", 0.75], ["a2", 0.0], ["a3", null], ["b1", null]]
SELECT id AS name, pixel_share('road') FROM samples WHERE id IN ('a1', 'a2', 'a3', 'b1')
-- case: the share that a model predicts
-- rows: [["a1", 0.25], ["a2", null]]
SELECT id AS name, seg.pixel_share('road') FROM samples WHERE id IN ('a1', 'a2')
-- case: truth and prediction compared, in a predicate
-- ids: a1
pixel_share('road') - seg.pixel_share('road') > 0.4
-- case: in an aggregate, and with the model in quotes and capitals
-- rows: [[1, 0.75]]
SELECT count("SEG".pixel_share('sky')), max("SEG".pixel_share('sky')) FROM samples
-- case: ordered by it
-- ids: a2, a1
pixel_share('sky') IS NOT NULL ORDER BY pixel_share('sky') DESC
-- case: beside boxes of the sample
-- rows: [["car", 0.75], ["car", 0.75]]
SELECT o.label, pixel_share('road') FROM objects o WHERE o.id = 'a1'
-- case: a class that no label map has
-- error: BindError 1:13 ''rood'' road
pixel_share('rood') > 0.1
-- case: a class that the model does not predict
-- error: BindError 1:17 ''rood'' road
seg.pixel_share('rood') > 0.1
-- case: a model of another task
-- error: BindError 1:1 'm1.pixel_share('road')' seg
m1.pixel_share('road') > 0.1
-- case: a model that is not there
-- error: BindError 1:1 'sog.pixel_share('road')' seg
sog.pixel_share('road') > 0.1
-- case: a share is no condition
-- error: ParseError 1:1 'pixel_share' compare it
pixel_share('road')
