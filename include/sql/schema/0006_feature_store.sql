-- The feature store: versions of views and what is built of them, and which keys a changed fact touches.
-- The tables of a view's rows are made by `include.features` from the view's definition, one pair per version:
-- features.<view>_v<version> (history) and features.<view>_v<version>_online. Their columns beside keys and features:
--   event_time      the snapshot: only facts strictly before it are in the row
--   available_time  when the row could be known: event_time + the view's lag, or ingested_at for a correction
--   ingested_at     when it was written
--   seq             order of writing: the number of the build that wrote it, counted per version
--   is_tombstone    the key has no features at that snapshot after all; its features are null
-- The tables of the two views that stood here before hold nothing that is not built again from the shop's facts.

DROP TABLE features.customer_rfm, features.customer_rfm_online, features.customer_activity,
features.customer_activity_online, features.view_states, features.built_snapshots, features.consumed_receipts;

CREATE TABLE features.view_versions (
    view_name text NOT NULL,
    version integer NOT NULL,
    digest text NOT NULL,
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    last_ingested_at timestamptz,
    published_seq bigint NOT NULL DEFAULT 0,
    published_at timestamptz,
    seen_touches pg_snapshot,
    seen_on_server text,
    retired_at timestamptz,
    PRIMARY KEY (view_name, version),
    UNIQUE (view_name, digest)
);
COMMENT ON TABLE features.view_versions IS
'One row per definition that a feature view has had: the definition itself, the last build that wrote rows, the last '
'one that was published online, and which touches its history has taken in.';

CREATE TABLE features.built_snapshots (
    view_name text NOT NULL,
    version integer NOT NULL,
    event_time timestamptz NOT NULL,
    is_partial boolean NOT NULL DEFAULT false,
    built_at timestamptz NOT NULL,
    thinned_at timestamptz,
    PRIMARY KEY (view_name, version, event_time),
    FOREIGN KEY (view_name, version) REFERENCES features.view_versions
);
COMMENT ON TABLE features.built_snapshots IS
'One row per version of a view and instant that rows were taken at, also when nobody had features then. '
'is_partial: only for the keys that were pushed at that instant. thinned_at: its rows were removed by the policy.';

-- Which keys a change of facts touches, noted by triggers in the transaction of the change. A row of a view for a
-- touched key is stale if its snapshot is after touched_from and, where the view forgets, not after touched_until plus
-- the time for which it remembers. A null key is every key.
CREATE TABLE features.customer_touches (
    customer_id bigint,
    source text NOT NULL,
    touched_from timestamptz NOT NULL,
    touched_until timestamptz NOT NULL,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE features.customer_touches IS
'One row per change of facts and customer touched by it (null: all), with the oldest and the newest changed instant.';
CREATE INDEX customer_touches_by_writer ON features.customer_touches (written_by);

CREATE TABLE features.product_touches (
    product_id bigint,
    source text NOT NULL,
    touched_from timestamptz NOT NULL,
    touched_until timestamptz NOT NULL,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE features.product_touches IS
'One row per change of facts and product touched by it, with the oldest and the newest changed instant.';
CREATE INDEX product_touches_by_writer ON features.product_touches (written_by);

-- What products were like, and from when on. The first version that was seen stands for the time before it too:
-- nobody knows better.
CREATE TABLE shop.product_versions (
    product_id bigint NOT NULL,
    known_from timestamptz NOT NULL,
    name text NOT NULL,
    price numeric(18, 4),
    currency text NOT NULL,
    categories jsonb NOT NULL,
    PRIMARY KEY (product_id, known_from)
);
COMMENT ON TABLE shop.product_versions IS
'One row per product and change of what it is; known_from is -infinity for the first. Written by triggers.';
INSERT INTO shop.product_versions (product_id, known_from, name, price, currency, categories)
SELECT
    product_id,
    '-infinity' AS known_from,
    name,
    price,
    currency,
    categories
FROM shop.products;

-- Facts of one customer or one product are found without reading everybody's.
CREATE INDEX orders_of_customer ON shop.orders (customer_id, paid_at);
CREATE INDEX order_lines_of_product ON shop.order_lines (product_id, order_id);
CREATE INDEX refund_lines_of_product ON shop.refund_lines (product_id, refund_id);
CREATE INDEX refunds_of_order ON shop.refunds (order_id);
CREATE INDEX refunds_of_customer ON shop.refunds (customer_id);
CREATE INDEX events_of_customer ON shop.events (customer_id, occurred_at);

-- From when on a change of an instant is felt: from the older of the two; null if it did not move.
CREATE FUNCTION features.moved_from(old_at timestamptz, new_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN old_at IS DISTINCT FROM new_at THEN least(old_at, new_at) END;

-- Notes what changed orders touch. Arrays side by side: orders, their customers, from when and until when it is felt.
CREATE FUNCTION features.touch_orders(
    order_ids bigint[], customer_ids bigint[], from_instants timestamptz[], until_instants timestamptz[]
)
RETURNS void LANGUAGE sql AS $$
WITH changed AS (
    SELECT order_id, customer_id, touched_from, touched_until
    FROM unnest(order_ids, customer_ids, from_instants, until_instants)
        AS given (order_id, customer_id, touched_from, touched_until)
),

buyers AS (
    INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
    SELECT customer_id, 'shop.orders', min(touched_from), max(touched_until)
    FROM changed
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
),

-- A refund that names no customer is its order's, also where it is older than the order.
refunded AS (
    INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
    SELECT changed.customer_id, 'shop.refunds', min(refunds.refunded_at), max(refunds.refunded_at)
    FROM changed
    INNER JOIN shop.refunds ON changed.order_id = refunds.order_id
    WHERE changed.customer_id IS NOT NULL AND refunds.customer_id IS NULL
    GROUP BY changed.customer_id
)

INSERT INTO features.product_touches (product_id, source, touched_from, touched_until)
SELECT order_lines.product_id, 'shop.orders', min(changed.touched_from), max(changed.touched_until)
FROM changed
INNER JOIN shop.order_lines ON changed.order_id = order_lines.order_id
WHERE order_lines.product_id IS NOT NULL
GROUP BY order_lines.product_id
$$;

CREATE FUNCTION features.note_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM features.touch_orders(
            array_agg(order_id),
            array_agg(customer_id),
            array_agg(least(placed_at, paid_at)),
            array_agg(greatest(placed_at, paid_at, completed_at, cancelled_at))
        )
        FROM new_rows;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM features.touch_orders(
            array_agg(order_id),
            array_agg(customer_id),
            array_agg(least(placed_at, paid_at)),
            array_agg(greatest(placed_at, paid_at, completed_at, cancelled_at))
        )
        FROM old_rows;
    ELSE
        -- A change of what was bought is felt from the beginning, that of an instant from where it was or is.
        -- A status, and what only the loads write, is nothing that features may see.
        PERFORM features.touch_orders(
            array_agg(order_id), array_agg(owner_id), array_agg(touched_from), array_agg(touched_until)
        )
        FROM (
            SELECT
                new_rows.order_id,
                owners.owner_id,
                CASE
                    WHEN
                        (
                            old_rows.customer_id, old_rows.currency, old_rows.total_amount, old_rows.discount_amount,
                            old_rows.shipping_amount, old_rows.tax_amount, old_rows.country
                        )
                        IS DISTINCT FROM (
                            new_rows.customer_id, new_rows.currency, new_rows.total_amount, new_rows.discount_amount,
                            new_rows.shipping_amount, new_rows.tax_amount, new_rows.country
                        )
                        THEN least(old_rows.placed_at, old_rows.paid_at, new_rows.placed_at, new_rows.paid_at)
                    ELSE least(
                        features.moved_from(old_rows.placed_at, new_rows.placed_at),
                        features.moved_from(old_rows.paid_at, new_rows.paid_at),
                        features.moved_from(old_rows.completed_at, new_rows.completed_at),
                        features.moved_from(old_rows.cancelled_at, new_rows.cancelled_at)
                    )
                END AS touched_from,
                greatest(
                    old_rows.placed_at, old_rows.paid_at, old_rows.completed_at, old_rows.cancelled_at,
                    new_rows.placed_at, new_rows.paid_at, new_rows.completed_at, new_rows.cancelled_at
                ) AS touched_until
            FROM old_rows
            INNER JOIN new_rows ON old_rows.order_id = new_rows.order_id
            CROSS JOIN LATERAL (
                SELECT old_rows.customer_id AS owner_id UNION SELECT new_rows.customer_id
            ) AS owners
        ) AS changes
        WHERE touched_from IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;

-- Notes what changed lines touch: their products, and whose orders they are in. Three arrays side by side.
CREATE FUNCTION features.touch_lines(touching text, order_ids bigint[], product_ids bigint[])
RETURNS void LANGUAGE sql AS $$
WITH changed AS (
    SELECT DISTINCT
        given.product_id,
        orders.customer_id,
        least(orders.placed_at, orders.paid_at) AS touched_from,
        greatest(orders.placed_at, orders.paid_at) AS touched_until
    FROM unnest(order_ids, product_ids) AS given (order_id, product_id)
    INNER JOIN shop.orders ON given.order_id = orders.order_id
),

buyers AS (
    INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
    SELECT customer_id, touching, min(touched_from), max(touched_until)
    FROM changed
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
)

INSERT INTO features.product_touches (product_id, source, touched_from, touched_until)
SELECT product_id, touching, min(touched_from), max(touched_until)
FROM changed
WHERE product_id IS NOT NULL
GROUP BY product_id
$$;

CREATE FUNCTION features.note_order_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM features.touch_lines('shop.order_lines', array_agg(order_id), array_agg(product_id))
        FROM new_rows;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM features.touch_lines('shop.order_lines', array_agg(order_id), array_agg(product_id)) FROM old_rows;
    ELSE
        PERFORM features.touch_lines('shop.order_lines', array_agg(new_rows.order_id), array_agg(products.product_id))
        FROM old_rows
        INNER JOIN new_rows ON old_rows.order_id = new_rows.order_id AND old_rows.line_id = new_rows.line_id
        CROSS JOIN LATERAL (
            SELECT old_rows.product_id UNION SELECT new_rows.product_id
        ) AS products
        WHERE
            (old_rows.kind, old_rows.product_id, old_rows.quantity, old_rows.unit_price, old_rows.total_amount)
            IS DISTINCT FROM (
                new_rows.kind, new_rows.product_id, new_rows.quantity, new_rows.unit_price, new_rows.total_amount
            );
    END IF;
    RETURN NULL;
END
$$;

-- Notes whom changed refunds touch. Three arrays side by side.
CREATE FUNCTION features.touch_refunds(order_ids bigint[], customer_ids bigint[], instants timestamptz[])
RETURNS void LANGUAGE sql AS $$
INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
SELECT
    coalesce(given.customer_id, orders.customer_id) AS owner_id,
    'shop.refunds' AS source,
    min(given.refunded_at) AS touched_from,
    max(given.refunded_at) AS touched_until
FROM unnest(order_ids, customer_ids, instants) AS given (order_id, customer_id, refunded_at)
LEFT JOIN shop.orders ON given.order_id = orders.order_id
WHERE coalesce(given.customer_id, orders.customer_id) IS NOT NULL
GROUP BY owner_id
$$;

CREATE FUNCTION features.note_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM features.touch_refunds(array_agg(order_id), array_agg(customer_id), array_agg(refunded_at))
        FROM old_rows;
        INSERT INTO features.product_touches (product_id, source, touched_from, touched_until)
        SELECT lines.product_id, 'shop.refunds', min(old_rows.refunded_at), max(old_rows.refunded_at)
        FROM old_rows
        INNER JOIN shop.refund_lines AS lines ON old_rows.refund_id = lines.refund_id
        WHERE lines.product_id IS NOT NULL
        GROUP BY lines.product_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM features.touch_refunds(array_agg(order_id), array_agg(customer_id), array_agg(refunded_at))
        FROM new_rows;
        INSERT INTO features.product_touches (product_id, source, touched_from, touched_until)
        SELECT lines.product_id, 'shop.refunds', min(new_rows.refunded_at), max(new_rows.refunded_at)
        FROM new_rows
        INNER JOIN shop.refund_lines AS lines ON new_rows.refund_id = lines.refund_id
        WHERE lines.product_id IS NOT NULL
        GROUP BY lines.product_id;
    END IF;
    RETURN NULL;
END
$$;

-- Notes what changed lines of refunds touch: their products, and whose refunds they are in.
CREATE FUNCTION features.touch_refund_lines(refund_ids bigint[], product_ids bigint[])
RETURNS void LANGUAGE sql AS $$
WITH changed AS (
    SELECT DISTINCT
        given.product_id,
        coalesce(refunds.customer_id, orders.customer_id) AS customer_id,
        refunds.refunded_at AS touched_from
    FROM unnest(refund_ids, product_ids) AS given (refund_id, product_id)
    INNER JOIN shop.refunds ON given.refund_id = refunds.refund_id
    LEFT JOIN shop.orders ON refunds.order_id = orders.order_id
),

owners AS (
    INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
    SELECT customer_id, 'shop.refund_lines', min(touched_from), max(touched_from)
    FROM changed
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
)

INSERT INTO features.product_touches (product_id, source, touched_from, touched_until)
SELECT product_id, 'shop.refund_lines', min(touched_from), max(touched_from)
FROM changed
WHERE product_id IS NOT NULL
GROUP BY product_id
$$;

CREATE FUNCTION features.note_refund_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM features.touch_refund_lines(array_agg(refund_id), array_agg(product_id)) FROM old_rows;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM features.touch_refund_lines(array_agg(refund_id), array_agg(product_id)) FROM new_rows;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION features.note_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
        SELECT customer_id, 'shop.events', min(occurred_at), max(occurred_at) FROM old_rows
        WHERE customer_id IS NOT NULL
        GROUP BY customer_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
        SELECT customer_id, 'shop.events', min(occurred_at), max(occurred_at) FROM new_rows
        WHERE customer_id IS NOT NULL
        GROUP BY customer_id;
    END IF;
    RETURN NULL;
END
$$;

-- Keeps what products were like, and notes whose purchases a new version is about.
CREATE FUNCTION features.keep_product_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO shop.product_versions (product_id, known_from, name, price, currency, categories)
        SELECT product_id, '-infinity', name, price, currency, categories FROM new_rows
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO shop.product_versions (product_id, known_from, name, price, currency, categories)
        SELECT
            new_rows.product_id, new_rows.source_updated_at, new_rows.name, new_rows.price, new_rows.currency,
            new_rows.categories
        FROM old_rows
        INNER JOIN new_rows ON old_rows.product_id = new_rows.product_id
        WHERE
            (old_rows.name, old_rows.price, old_rows.currency, old_rows.categories)
            IS DISTINCT FROM (new_rows.name, new_rows.price, new_rows.currency, new_rows.categories)
        ON CONFLICT (product_id, known_from) DO UPDATE SET
            name = excluded.name, price = excluded.price, currency = excluded.currency,
            categories = excluded.categories;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION features.note_product_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
    SELECT
        orders.customer_id,
        'shop.product_versions' AS source,
        min(greatest(orders.paid_at, new_rows.known_from)) AS touched_from,
        max(greatest(orders.paid_at, new_rows.known_from)) AS touched_until
    FROM new_rows
    INNER JOIN shop.order_lines ON new_rows.product_id = order_lines.product_id
    INNER JOIN shop.orders ON order_lines.order_id = orders.order_id
    WHERE orders.customer_id IS NOT NULL AND orders.paid_at IS NOT NULL
    GROUP BY orders.customer_id;
    INSERT INTO features.product_touches (product_id, source, touched_from, touched_until)
    SELECT product_id, 'shop.product_versions', known_from, 'infinity' FROM new_rows;
    RETURN NULL;
END
$$;

-- The weather and the market are felt by everybody, from the end of their day.
CREATE FUNCTION features.note_weather() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
    SELECT
        NULL AS customer_id,
        'signals.weather_daily' AS source,
        (weather_on + 1)::timestamp AT TIME ZONE 'UTC' AS touched_from,
        (weather_on + 1)::timestamp AT TIME ZONE 'UTC' AS touched_until
    FROM new_rows
    GROUP BY weather_on;
    RETURN NULL;
END
$$;

CREATE FUNCTION features.note_stock_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO features.customer_touches (customer_id, source, touched_from, touched_until)
    SELECT
        NULL AS customer_id,
        'signals.stock_prices_daily' AS source,
        (traded_on + 1)::timestamp AT TIME ZONE 'UTC' AS touched_from,
        (traded_on + 1)::timestamp AT TIME ZONE 'UTC' AS touched_until
    FROM new_rows
    GROUP BY traded_on;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_orders_inserted AFTER INSERT ON shop.orders
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_orders();
CREATE TRIGGER note_orders_updated AFTER UPDATE ON shop.orders
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_orders();
CREATE TRIGGER note_orders_deleted AFTER DELETE ON shop.orders
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_orders();
CREATE TRIGGER note_order_lines_inserted AFTER INSERT ON shop.order_lines
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_order_lines();
CREATE TRIGGER note_order_lines_updated AFTER UPDATE ON shop.order_lines
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_order_lines();
CREATE TRIGGER note_order_lines_deleted AFTER DELETE ON shop.order_lines
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_order_lines();
CREATE TRIGGER note_refunds_inserted AFTER INSERT ON shop.refunds
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_refunds();
CREATE TRIGGER note_refunds_updated AFTER UPDATE ON shop.refunds
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_refunds();
CREATE TRIGGER note_refunds_deleted AFTER DELETE ON shop.refunds
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_refunds();
CREATE TRIGGER note_refund_lines_inserted AFTER INSERT ON shop.refund_lines
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_refund_lines();
CREATE TRIGGER note_refund_lines_updated AFTER UPDATE ON shop.refund_lines
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_refund_lines();
CREATE TRIGGER note_refund_lines_deleted AFTER DELETE ON shop.refund_lines
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_refund_lines();
CREATE TRIGGER note_events_inserted AFTER INSERT ON shop.events
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_events();
CREATE TRIGGER note_events_updated AFTER UPDATE ON shop.events
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_events();
CREATE TRIGGER note_events_deleted AFTER DELETE ON shop.events
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_events();
CREATE TRIGGER keep_product_versions_inserted AFTER INSERT ON shop.products
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.keep_product_versions();
CREATE TRIGGER keep_product_versions_updated AFTER UPDATE ON shop.products
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.keep_product_versions();
CREATE TRIGGER note_product_versions_inserted AFTER INSERT ON shop.product_versions
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_product_versions();
CREATE TRIGGER note_product_versions_updated AFTER UPDATE ON shop.product_versions
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_product_versions();
CREATE TRIGGER note_weather_inserted AFTER INSERT ON signals.weather_daily
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_weather();
CREATE TRIGGER note_weather_updated AFTER UPDATE ON signals.weather_daily
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_weather();
CREATE TRIGGER note_stock_prices_inserted AFTER INSERT ON signals.stock_prices_daily
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_stock_prices();
CREATE TRIGGER note_stock_prices_updated AFTER UPDATE ON signals.stock_prices_daily
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION features.note_stock_prices();
