-- Lifetime value: the weekly fits of BG/NBD and Gamma-Gamma, and what they say of each customer.

CREATE TABLE ml.lifetime_models (
    lifetime_model_id text PRIMARY KEY,
    snapshot_at timestamptz NOT NULL,
    horizon_days double precision NOT NULL CHECK (horizon_days > 0),
    annual_discount_rate double precision NOT NULL CHECK (annual_discount_rate >= 0),
    bg_nbd_parameters double precision[] NOT NULL CHECK (cardinality(bg_nbd_parameters) = 4),
    bg_nbd_covariance double precision[] NOT NULL CHECK (cardinality(bg_nbd_covariance) = 16),
    bg_nbd_log_likelihood double precision NOT NULL,
    gamma_gamma_parameters double precision[] NOT NULL CHECK (cardinality(gamma_gamma_parameters) = 3),
    gamma_gamma_covariance double precision[] NOT NULL CHECK (cardinality(gamma_gamma_covariance) = 9),
    gamma_gamma_log_likelihood double precision NOT NULL,
    customer_count bigint NOT NULL,
    returned_count bigint NOT NULL,
    paying_count bigint NOT NULL,
    correlation double precision,
    parameters_at_bound text[] NOT NULL,
    data_digest text NOT NULL,
    libraries jsonb NOT NULL,
    fitted_at timestamptz NOT NULL
);
COMMENT ON TABLE ml.lifetime_models IS
'One row per fit, named by the digest of its data, settings and libraries. The one in use at an instant is that of the '
'greatest snapshot_at up to it, and of those the one fitted last.';
COMMENT ON COLUMN ml.lifetime_models.snapshot_at IS 'It was fitted to the histories of customers as known then.';
COMMENT ON COLUMN ml.lifetime_models.horizon_days IS 'How far ahead of a snapshot purchases count in its values.';
COMMENT ON COLUMN ml.lifetime_models.bg_nbd_parameters IS 'r, alpha (days), a, b.';
COMMENT ON COLUMN ml.lifetime_models.bg_nbd_covariance IS
'Of the natural logarithms of the parameters, 4 by 4, row by row; what the data do not tell counts as known.';
COMMENT ON COLUMN ml.lifetime_models.gamma_gamma_parameters IS 'p, q, v (currency of the shop).';
COMMENT ON COLUMN ml.lifetime_models.gamma_gamma_covariance IS
'Of the natural logarithms of the parameters, 3 by 3, row by row; what the data do not tell counts as known.';
COMMENT ON COLUMN ml.lifetime_models.returned_count IS 'Customers with at least one repeat purchase.';
COMMENT ON COLUMN ml.lifetime_models.paying_count IS 'Of those the ones whose repeat purchases were not all free.';
COMMENT ON COLUMN ml.lifetime_models.correlation IS
'Between number and mean amount of repeat purchases, which the models take to be 0; null where it has none.';
COMMENT ON COLUMN ml.lifetime_models.parameters_at_bound IS
'Parameters that the data do not tell from nothing or from without end; their uncertainty is not in the intervals.';
CREATE INDEX lifetime_models_by_snapshot ON ml.lifetime_models (snapshot_at, fitted_at);

CREATE TABLE ml.lifetime_values (
    customer_id bigint NOT NULL,
    snapshot_at timestamptz NOT NULL,
    lifetime_model_id text NOT NULL REFERENCES ml.lifetime_models,
    probability_alive double precision NOT NULL,
    expected_purchases double precision NOT NULL,
    purchase_value_amount double precision,
    value_amount double precision,
    value_low_amount double precision,
    value_high_amount double precision,
    scored_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, snapshot_at, lifetime_model_id)
);
COMMENT ON TABLE ml.lifetime_values IS
'One row per customer, snapshot and fit: what the customer is expected to buy within the horizon of the fit, and what '
'that is worth. Revenue before costs and refunds, in the currency of the shop.';
COMMENT ON COLUMN ml.lifetime_values.expected_purchases IS 'Days with a purchase within the horizon; not discounted.';
COMMENT ON COLUMN ml.lifetime_values.purchase_value_amount IS
'Expected amount of a day with purchases; null where the fit has no mean.';
COMMENT ON COLUMN ml.lifetime_values.value_amount IS 'Purchases within the horizon, discounted, times their amount.';
COMMENT ON COLUMN ml.lifetime_values.value_low_amount IS
'low and high: 95 % interval of the expected value, by the uncertainty of the parameters. '
'What a single customer will spend varies far more.';
CREATE INDEX lifetime_values_by_snapshot ON ml.lifetime_values (snapshot_at);
