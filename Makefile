# Every target sets up what it needs; nothing has to be installed by hand but Node, npm and make.
NODE := node_modules/.bin/node

.PHONY: run test test-clients test-faults bench check format

# The versions of the lock file, as `npm ci` would install them; but that refuses a lock file made where the packages of
# other platforms, which are optional, cannot be had.
node_modules/.package-lock.json: package-lock.json package.json server/package.json
	npm install --no-save --no-fund --no-audit --loglevel=error
	@touch $@

run: node_modules/.package-lock.json
	@exec ./entrepot serve

check: node_modules/.package-lock.json
	node_modules/.bin/biome ci --error-on-warnings .
	node_modules/.bin/tsc --noEmit
	$(NODE) --test server/test/layers.test.ts

format: node_modules/.package-lock.json
	node_modules/.bin/biome check --write .

test: node_modules/.package-lock.json
	$(NODE) server/test/run.ts

test-clients: node_modules/.package-lock.json
	$(NODE) server/test/clients/run.ts

test-faults: node_modules/.package-lock.json
	$(NODE) server/test/run.ts faults

bench: node_modules/.package-lock.json
	$(NODE) bench/run.ts
