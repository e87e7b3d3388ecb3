-- What each customer may like to buy next, what is bought together, and how well that was foretold.

CREATE TABLE ml.recommendation_runs (
    model_id text PRIMARY KEY,
    as_of timestamptz NOT NULL,
    parameters jsonb NOT NULL,
    data_digest text NOT NULL,
    file_path text NOT NULL,
    purchase_count bigint NOT NULL,
    customer_count bigint NOT NULL,
    product_count bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('built', 'evaluated', 'published')),
    method text CHECK (method IN ('blend', 'popularity')),
    method_reason text,
    choices jsonb,
    validation_at timestamptz[],
    test_at timestamptz,
    built_at timestamptz NOT NULL,
    evaluated_at timestamptz,
    published_at timestamptz
);
COMMENT ON TABLE ml.recommendation_runs IS
'One row per set of purchases that recommendations were made of, named by the digest of purchases and parameters.';
COMMENT ON COLUMN ml.recommendation_runs.as_of IS
'Only purchases paid before it are in; what is published speaks of the days from then on.';
COMMENT ON COLUMN ml.recommendation_runs.file_path IS
'The purchases, relative to the storage folder; the file goes when a later run has been published.';
COMMENT ON COLUMN ml.recommendation_runs.method IS
'What won on the validation windows: the blend, or popularity where the blend did not beat it.';
COMMENT ON COLUMN ml.recommendation_runs.method_reason IS 'Why, in words, with the numbers that decided.';
COMMENT ON COLUMN ml.recommendation_runs.choices IS
'What was chosen on the validation windows: half-life of popularity, kind of item-to-item, weights of the blend.';
COMMENT ON COLUMN ml.recommendation_runs.validation_at IS
'Starts of the windows on which choices were made; null without enough data. All end before test_at.';
COMMENT ON COLUMN ml.recommendation_runs.test_at IS
'Start of the window on which nothing was chosen; it ends at as_of.';

CREATE TABLE ml.recommendation_metrics (
    model_id text NOT NULL REFERENCES ml.recommendation_runs,
    split text NOT NULL CHECK (split IN ('validation', 'test')),
    segment text NOT NULL CHECK (segment IN ('all', 'new_to_customer')),
    method text NOT NULL,
    metric text NOT NULL,
    customer_count bigint NOT NULL,
    value double precision NOT NULL,
    low double precision,
    high double precision,
    over_popularity double precision,
    over_popularity_low double precision,
    over_popularity_high double precision,
    PRIMARY KEY (model_id, split, segment, method, metric)
);
COMMENT ON TABLE ml.recommendation_metrics IS
'One row per run, split, segment of products, method and metric at 10; popularity is one of the methods.';
COMMENT ON COLUMN ml.recommendation_metrics.segment IS
'all: every product; new_to_customer: only products that the customer had not bought before, foretold and bought.';
COMMENT ON COLUMN ml.recommendation_metrics.customer_count IS
'Customers with something to foretell: known before the window, and buying in it.';
COMMENT ON COLUMN ml.recommendation_metrics.low IS
'low and high: 95 % bootstrap interval by customer. Null for coverage, which is no mean over customers.';
COMMENT ON COLUMN ml.recommendation_metrics.over_popularity IS
'Value less that of popularity for the same customers, with its interval by the same bootstrap.';

CREATE TABLE ml.recommendations (
    customer_id bigint NOT NULL,
    product_id bigint NOT NULL,
    rank integer NOT NULL CHECK (rank > 0),
    score double precision NOT NULL,
    source text NOT NULL CHECK (source IN ('repeat', 'item_to_item', 'factors', 'popularity')),
    model_id text NOT NULL REFERENCES ml.recommendation_runs,
    computed_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, product_id)
);
COMMENT ON TABLE ml.recommendations IS
'One row per customer with purchases and product recommended to them, best first. Replaced whole in one transaction. '
'Read it through include/models/recommendations/reads.py, which leaves out what has stopped being for sale since.';
COMMENT ON COLUMN ml.recommendations.source IS 'What spoke for the product most.';
COMMENT ON COLUMN ml.recommendations.score IS 'Comparable within a customer only.';

CREATE TABLE ml.popular_products (
    product_id bigint PRIMARY KEY,
    rank integer NOT NULL CHECK (rank > 0),
    score double precision NOT NULL,
    model_id text NOT NULL REFERENCES ml.recommendation_runs,
    computed_at timestamptz NOT NULL
);
COMMENT ON TABLE ml.popular_products IS
'One row per product that many buy lately, best first: what customers without purchases are shown.';
COMMENT ON COLUMN ml.popular_products.score IS
'Purchases of the product, each halved for every half-life that has passed since.';

CREATE TABLE ml.bought_together (
    product_id bigint NOT NULL,
    other_product_id bigint NOT NULL,
    rank integer NOT NULL CHECK (rank > 0),
    order_count bigint NOT NULL,
    support double precision NOT NULL,
    confidence double precision NOT NULL,
    reverse_confidence double precision NOT NULL,
    lift double precision NOT NULL,
    model_id text NOT NULL REFERENCES ml.recommendation_runs,
    computed_at timestamptz NOT NULL,
    PRIMARY KEY (product_id, other_product_id),
    CHECK (product_id <> other_product_id)
);
COMMENT ON TABLE ml.bought_together IS
'One row per product and other product of the same orders more often than by chance, best first; each pair both ways.';
COMMENT ON COLUMN ml.bought_together.order_count IS 'Orders with both.';
COMMENT ON COLUMN ml.bought_together.support IS 'Share of all orders that have both.';
COMMENT ON COLUMN ml.bought_together.confidence IS 'Share of the orders with product_id that have the other one too.';
COMMENT ON COLUMN ml.bought_together.reverse_confidence IS
'Share of the orders with the other one that have product_id too.';
COMMENT ON COLUMN ml.bought_together.lift IS
'How many times more often both are in an order than if one had nothing to do with the other.';

-- Lines that are no products rarely name one; those few are what the view below must find at once.
CREATE INDEX order_lines_of_fee_product ON shop.order_lines (product_id)
WHERE kind <> 'product' AND product_id IS NOT NULL;

CREATE VIEW ml.recommendable_products AS
SELECT products.product_id
FROM shop.products
WHERE
    products.is_published
    AND (products.stock_status IN ('instock', 'onbackorder') OR products.stock_status IS NULL)
    AND NOT EXISTS (
        SELECT 1
        FROM shop.order_lines
        WHERE order_lines.product_id = products.product_id AND order_lines.kind <> 'product'
    );
COMMENT ON VIEW ml.recommendable_products IS
'One row per product that may be recommended now: published, for sale, and never charged as a fee or as shipping. '
'A shop that does not say what it has in stock is taken to have it.';
