-- Marts of behaviour: the way from a view to an order, what is bought together, and how each product does.

CREATE FUNCTION analytics.least_support() RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('mart.least_support', true), ''), '0.005')::numeric;
COMMENT ON FUNCTION analytics.least_support IS
'In what share of all baskets products must be together to be told of; 0 to 1.';

CREATE TABLE analytics.funnel_daily (
    day_on date NOT NULL,
    funnel_kind text NOT NULL CHECK (funnel_kind IN ('session', 'customer')),
    order_kind text NOT NULL CHECK (order_kind IN ('strict', 'loose')),
    source text NOT NULL,
    device text NOT NULL,
    step_number integer NOT NULL,
    step text NOT NULL,
    entered_count bigint NOT NULL,
    conversion_share double precision,
    drop_off_share double precision,
    overall_conversion_share double precision,
    median_seconds_from_previous double precision,
    median_seconds_from_first double precision,
    PRIMARY KEY (day_on, funnel_kind, order_kind, source, device, step_number)
);
COMMENT ON TABLE analytics.funnel_daily IS
'One row per day, kind of funnel, order of steps, source, device and step. Days whose time limit is not over can grow.';
COMMENT ON COLUMN analytics.funnel_daily.day_on IS
'Day in the time zone of the shop on which the session began, or on which the customer viewed a product.';
COMMENT ON COLUMN analytics.funnel_daily.funnel_kind IS
'session: each session counts once, for 24 hours. customer: each customer counts once a day, for 7 days from the view.';
COMMENT ON COLUMN analytics.funnel_daily.order_kind IS
'loose: the steps come in this order, whatever lies between. strict: no other step lies between two of them.';
COMMENT ON COLUMN analytics.funnel_daily.source IS 'Campaign of the view that counts; direct without one.';
COMMENT ON COLUMN analytics.funnel_daily.device IS 'Device of the view that counts; unknown if it says none.';
COMMENT ON COLUMN analytics.funnel_daily.step_number IS 'Place of the step, 1 to 4.';
COMMENT ON COLUMN analytics.funnel_daily.step IS 'Name of the event that is the step.';
COMMENT ON COLUMN analytics.funnel_daily.entered_count IS 'Sessions or customers that came to this step.';
COMMENT ON COLUMN analytics.funnel_daily.conversion_share IS
'Of those at the step before, how many came to this one; 0 to 1; null at the first step or if there are none.';
COMMENT ON COLUMN analytics.funnel_daily.drop_off_share IS
'Of those at this step, how many came no further; 0 to 1; null at the last step or if there are none.';
COMMENT ON COLUMN analytics.funnel_daily.overall_conversion_share IS
'Of those at the first step, how many came to this one; 0 to 1.';
COMMENT ON COLUMN analytics.funnel_daily.median_seconds_from_previous IS
'Median time since the step before, in seconds; null at the first step or if nobody came here.';
COMMENT ON COLUMN analytics.funnel_daily.median_seconds_from_first IS
'Median time since the first step, in seconds; null at the first step or if nobody came here.';

CREATE TABLE analytics.baskets_daily (
    sold_on date NOT NULL,
    order_id bigint NOT NULL,
    products bigint[] NOT NULL,
    PRIMARY KEY (sold_on, order_id)
);
COMMENT ON TABLE analytics.baskets_daily IS 'One row per paid order with products: its day and what was in it.';
COMMENT ON COLUMN analytics.baskets_daily.sold_on IS 'Day in the time zone of the shop on which the order was paid.';
COMMENT ON COLUMN analytics.baskets_daily.order_id IS 'Order of the shop.';
COMMENT ON COLUMN analytics.baskets_daily.products IS 'Different products of the order, the smallest number first.';

CREATE TABLE analytics.market_basket (
    antecedent bigint[] NOT NULL,
    consequent bigint[] NOT NULL,
    products bigint[] NOT NULL,
    item_count integer NOT NULL,
    support_count bigint NOT NULL,
    antecedent_count bigint NOT NULL,
    consequent_count bigint NOT NULL,
    support_share double precision NOT NULL,
    confidence double precision NOT NULL,
    reverse_confidence double precision NOT NULL,
    lift double precision NOT NULL,
    conviction double precision,
    leverage double precision NOT NULL,
    PRIMARY KEY (antecedent, consequent)
);
COMMENT ON TABLE analytics.market_basket IS
'One row per rule: orders with the products of the antecedent have those of the consequent too. A pair makes two '
'rules, a triple six. Baskets are the paid orders with products.';
COMMENT ON COLUMN analytics.market_basket.antecedent IS 'Products that are there, the smallest number first.';
COMMENT ON COLUMN analytics.market_basket.consequent IS 'Products that come with them, the smallest number first.';
COMMENT ON COLUMN analytics.market_basket.products IS 'Products of both, the smallest number first.';
COMMENT ON COLUMN analytics.market_basket.item_count IS 'How many products that is: 2 or 3.';
COMMENT ON COLUMN analytics.market_basket.support_count IS 'Baskets with all of the products.';
COMMENT ON COLUMN analytics.market_basket.antecedent_count IS 'Baskets with the products of the antecedent.';
COMMENT ON COLUMN analytics.market_basket.consequent_count IS 'Baskets with the products of the consequent.';
COMMENT ON COLUMN analytics.market_basket.support_share IS 'Share of all baskets with all of the products, 0 to 1.';
COMMENT ON COLUMN analytics.market_basket.confidence IS
'Of the baskets with the antecedent, the share with the consequent, 0 to 1.';
COMMENT ON COLUMN analytics.market_basket.reverse_confidence IS
'Of the baskets with the consequent, the share with the antecedent, 0 to 1.';
COMMENT ON COLUMN analytics.market_basket.lift IS
'How many times as often they are together as they would be by chance.';
COMMENT ON COLUMN analytics.market_basket.conviction IS
'How many times as often the rule would fail by chance as it does; null if it never fails.';
COMMENT ON COLUMN analytics.market_basket.leverage IS
'Share of all baskets with all of the products, less the share that chance would give; -0.25 to 0.25.';

CREATE TABLE analytics.product_sales_daily (
    sold_on date NOT NULL,
    product_id bigint NOT NULL,
    currency text NOT NULL,
    unit_count bigint NOT NULL,
    line_count bigint NOT NULL,
    gross_amount numeric NOT NULL,
    returned_unit_count bigint NOT NULL,
    returned_amount numeric NOT NULL,
    PRIMARY KEY (sold_on, product_id, currency)
);
COMMENT ON TABLE analytics.product_sales_daily IS
'One row per day, product and currency in which it was sold or given back.';
COMMENT ON COLUMN analytics.product_sales_daily.sold_on IS 'Day in the time zone of the shop.';
COMMENT ON COLUMN analytics.product_sales_daily.product_id IS 'Product of the shop.';
COMMENT ON COLUMN analytics.product_sales_daily.currency IS
'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.product_sales_daily.unit_count IS 'Units in orders paid that day.';
COMMENT ON COLUMN analytics.product_sales_daily.line_count IS 'Order lines in orders paid that day.';
COMMENT ON COLUMN analytics.product_sales_daily.gross_amount IS 'What was paid for them, in the currency.';
COMMENT ON COLUMN analytics.product_sales_daily.returned_unit_count IS 'Units given back that day.';
COMMENT ON COLUMN analytics.product_sales_daily.returned_amount IS 'What was paid back for them, in the currency.';

CREATE TABLE analytics.product_performance (
    product_id bigint NOT NULL,
    currency text NOT NULL,
    name text,
    abc_class text NOT NULL CHECK (abc_class IN ('A', 'B', 'C')),
    revenue_rank bigint NOT NULL,
    unit_count bigint NOT NULL,
    line_count bigint NOT NULL,
    gross_amount numeric NOT NULL,
    returned_unit_count bigint NOT NULL,
    returned_amount numeric NOT NULL,
    net_amount numeric NOT NULL,
    revenue_share double precision,
    cumulative_revenue_share double precision,
    return_share double precision,
    returned_amount_share double precision,
    average_unit_amount double precision,
    price_elasticity double precision,
    price_elasticity_error double precision,
    price_week_count bigint NOT NULL,
    first_sold_on date,
    last_sold_on date,
    as_of_on date,
    days_since_last_sale integer,
    units_lag_0_days bigint,
    units_lag_1_day bigint,
    units_lag_7_days bigint,
    units_lag_28_days bigint,
    units_7_days bigint,
    units_28_days bigint,
    units_90_days bigint,
    units_28_days_before bigint,
    units_growth_share double precision,
    units_mean_7_days double precision,
    units_mean_28_days double precision,
    units_deviation_28_days double precision,
    net_amount_7_days numeric,
    net_amount_28_days numeric,
    net_amount_90_days numeric,
    PRIMARY KEY (product_id, currency)
);
COMMENT ON TABLE analytics.product_performance IS
'One row per product and currency in which it was sold, given back or is offered.';
COMMENT ON COLUMN analytics.product_performance.product_id IS 'Product of the shop.';
COMMENT ON COLUMN analytics.product_performance.currency IS
'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.product_performance.name IS 'Its name now; null if the shop does not list it.';
COMMENT ON COLUMN analytics.product_performance.abc_class IS
'A: those of greatest net revenue that make the first 80 % of it together, B: the next 15 %, C: the rest. The product '
'that crosses a bound is in the better class; products of one revenue are in one class.';
COMMENT ON COLUMN analytics.product_performance.revenue_rank IS
'1 for the greatest net revenue of the currency; equal ones have one rank.';
COMMENT ON COLUMN analytics.product_performance.unit_count IS 'Units sold.';
COMMENT ON COLUMN analytics.product_performance.line_count IS 'Order lines sold.';
COMMENT ON COLUMN analytics.product_performance.gross_amount IS 'What was paid for them, in the currency.';
COMMENT ON COLUMN analytics.product_performance.returned_unit_count IS 'Units given back.';
COMMENT ON COLUMN analytics.product_performance.returned_amount IS 'What was paid back for them, in the currency.';
COMMENT ON COLUMN analytics.product_performance.net_amount IS
'Net revenue in the currency: what was paid less what was paid back; can be negative.';
COMMENT ON COLUMN analytics.product_performance.revenue_share IS
'Its share of the net revenue of all products that have a positive one, 0 to 1; null if no product has.';
COMMENT ON COLUMN analytics.product_performance.cumulative_revenue_share IS
'Share of the products of greater or equal net revenue together, 0 to 1; null if no product has a positive one.';
COMMENT ON COLUMN analytics.product_performance.return_share IS
'Units given back for each sold; above 1 where sales are missing, null if none was sold.';
COMMENT ON COLUMN analytics.product_performance.returned_amount_share IS
'Amount paid back for each paid; null if nothing was paid.';
COMMENT ON COLUMN analytics.product_performance.average_unit_amount IS
'Average amount paid for a unit, in the currency; null if none was sold.';
COMMENT ON COLUMN analytics.product_performance.price_elasticity IS
'By how many per cent more units are sold in a week per per cent of price: slope of the logarithm of units over that '
'of the average price paid, by least squares; null if prices do not vary or fewer than three weeks are known.';
COMMENT ON COLUMN analytics.product_performance.price_elasticity_error IS 'Standard error of the slope.';
COMMENT ON COLUMN analytics.product_performance.price_week_count IS
'Whole weeks, Monday to Sunday, with sales of the product: those that the elasticity is made of.';
COMMENT ON COLUMN analytics.product_performance.first_sold_on IS 'Day of its first sale; null if there was none.';
COMMENT ON COLUMN analytics.product_performance.last_sold_on IS 'Day of its last sale; null if there was none.';
COMMENT ON COLUMN analytics.product_performance.as_of_on IS
'The last whole day of what was loaded, which the columns below look back from; null in a shop without sales.';
COMMENT ON COLUMN analytics.product_performance.days_since_last_sale IS
'Days from the last sale to the last whole day; null if there was none.';
COMMENT ON COLUMN analytics.product_performance.units_lag_0_days IS 'Units sold on the last whole day.';
COMMENT ON COLUMN analytics.product_performance.units_lag_1_day IS 'Units sold on the day before it.';
COMMENT ON COLUMN analytics.product_performance.units_lag_7_days IS 'Units sold 7 days before it.';
COMMENT ON COLUMN analytics.product_performance.units_lag_28_days IS 'Units sold 28 days before it.';
COMMENT ON COLUMN analytics.product_performance.units_7_days IS 'Units sold in the 7 days that end with it.';
COMMENT ON COLUMN analytics.product_performance.units_28_days IS 'Units sold in the 28 days that end with it.';
COMMENT ON COLUMN analytics.product_performance.units_90_days IS 'Units sold in the 90 days that end with it.';
COMMENT ON COLUMN analytics.product_performance.units_28_days_before IS 'Units sold in the 28 days before those 28.';
COMMENT ON COLUMN analytics.product_performance.units_growth_share IS
'Growth of the last 28 days on the 28 before, -1 and more; null if nothing was sold in those.';
COMMENT ON COLUMN analytics.product_performance.units_mean_7_days IS
'Units a day in the last 7 days, or since the first sale if that is later; null before it.';
COMMENT ON COLUMN analytics.product_performance.units_mean_28_days IS
'Units a day in the last 28 days, or since the first sale if that is later; null before it.';
COMMENT ON COLUMN analytics.product_performance.units_deviation_28_days IS
'Sample standard deviation of the units a day over those days; null for fewer than two.';
COMMENT ON COLUMN analytics.product_performance.net_amount_7_days IS 'Net revenue of the last 7 days, in the currency.';
COMMENT ON COLUMN analytics.product_performance.net_amount_28_days IS
'Net revenue of the last 28 days, in the currency.';
COMMENT ON COLUMN analytics.product_performance.net_amount_90_days IS
'Net revenue of the last 90 days, in the currency.';

INSERT INTO analytics.day_readers (source, mart) VALUES
('shop.events', 'funnel_daily'),
('shop.orders', 'baskets_daily'),
('shop.orders', 'product_sales_daily'),
('shop.refunds', 'product_sales_daily');
