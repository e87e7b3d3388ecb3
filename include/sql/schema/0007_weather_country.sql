-- Whose weather it is: of the customers in a country, or of all whose country has no place of its own.

ALTER TABLE signals.weather_daily ADD COLUMN country text;
COMMENT ON COLUMN signals.weather_daily.country IS
'The country whose weather it is, as orders write theirs (WooCommerce: ISO 3166-1 alpha-2). Null: of everybody whose '
'country has no place of its own.';
