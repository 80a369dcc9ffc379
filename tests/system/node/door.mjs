// The main job from Node: exchange the API key, list the strategies, create a backtest, watch it to its end, read its
// result, look at live data. Prints the backtest as JSON; its orders are written to FOLDER/orders.arrow, twenty live
// quotes to FOLDER/live.json.
// Usage: MESH_API_KEY=nm_... node door.mjs 127.0.0.1:8080 backtest.json FOLDER   (contracts: protos/ of the repository)
import { randomUUID } from 'node:crypto';
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const [address, specFile, folder] = process.argv.slice(2);
const protos = fileURLToPath(new URL('../../../protos/', import.meta.url));
const areas = { gateway: 'auth', strategy: 'strategy', backtest: 'backtest', marketdata: 'market_data' };
const files = Object.entries(areas).map(([area, name]) => `mesh/${area}/v1/${name}_service.proto`);
const { mesh } = grpc.loadPackageDefinition(
  loader.loadSync(files, {
    includeDirs: [protos, `${protos}vendor`],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  }),
);

const credentials = grpc.credentials.createInsecure();
const auth = new mesh.gateway.v1.AuthService(address, credentials);
const strategies = new mesh.strategy.v1.StrategyService(address, credentials);
const backtests = new mesh.backtest.v1.BacktestService(address, credentials);
const live = new mesh.marketdata.v1.MarketDataService(address, credentials);
const metadata = new grpc.Metadata();

const call = (client, method, request) =>
  new Promise((resolve, reject) =>
    client[method](request, metadata, { deadline: Date.now() + 30_000 }, (error, reply) =>
      error ? reject(error) : resolve(reply),
    ),
  );

// protobufjs knows google.protobuf.Struct by its fields alone: these two write JSON values in them.
const struct = (object) => ({
  fields: Object.fromEntries(Object.entries(object).map(([key, value]) => [key, wrapped(value)])),
});
const wrapped = (value) => {
  if (value === null) return { nullValue: 'NULL_VALUE' };
  if (Array.isArray(value)) return { listValue: { values: value.map(wrapped) } };
  if (typeof value === 'object') return { structValue: struct(value) };
  return { [`${{ boolean: 'bool' }[typeof value] ?? typeof value}Value`]: value };
};

const { token } = await call(auth, 'ExchangeApiKey', { api_key: process.env.MESH_API_KEY });
metadata.set('authorization', `Bearer ${token}`);

const listed = await call(strategies, 'ListStrategies', {});
console.error('strategies:', listed.strategies.map((each) => each.strategy_id).join(', '));

const spec = JSON.parse(readFileSync(specFile, 'utf8'));
spec.components = spec.components.map((each) => ({ ...each, config: struct(each.config) }));
const request = { request_id: randomUUID(), name: 'by Node', spec };
const { backtest_id } = (await call(backtests, 'CreateBacktest', request)).backtest;

for await (const event of backtests.WatchBacktest({ backtest_id }, metadata)) {
  if (event.progress) console.error(`${Math.round(event.progress.fraction * 100)} %`);
}
const orders = createWriteStream(`${folder}/orders.arrow`);
for await (const { chunk } of backtests.ReadBacktestResult({ backtest_id, table: 'RESULT_TABLE_ORDERS' }, metadata)) {
  orders.write(chunk.data);
}
await new Promise((resolve) => orders.end(resolve));

const wish = {
  request_id: randomUUID(),
  feed_id: 'sample-replay',
  channels: [{ kind: 'DATA_KIND_QUOTE_TICK', instrument_id: 'EUR/USD.SIM' }],
  delivery: 'DELIVERY_LOSSLESS',
  idle_timeout: { seconds: 30 },
};
const { subscription_id } = (await call(live, 'CreateSubscription', wish)).subscription;
const quotes = [];
const watch = live.WatchMarketData({ subscription_ids: [subscription_id] }, metadata);
for await (const { items } of watch) {
  quotes.push(...items.filter(({ update }) => update?.quote).map(({ update }) => update));
  if (quotes.length >= 20) break;
}
watch.cancel(); // the subscription goes by itself when nobody watches it
writeFileSync(`${folder}/live.json`, JSON.stringify(quotes));

const { backtest } = await call(backtests, 'GetBacktest', { backtest_id });
console.log(JSON.stringify(backtest));
for (const client of [auth, strategies, backtests, live]) client.close();
process.exitCode = backtest.state === 'BACKTEST_STATE_SUCCEEDED' ? 0 : 1;
