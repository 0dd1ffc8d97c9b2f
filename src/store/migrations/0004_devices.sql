-- What an app's SDK tells of the device it signs in from: an object of texts with its `id`, or nothing.

ALTER TABLE sessions ADD COLUMN app_device TEXT;
