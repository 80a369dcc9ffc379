// The main job from Node: exchange the API key, create a backtest, watch it to its end, read its result.
// Usage: node door.mjs ADDRESS SPEC.json   (MESH_API_KEY holds the key; protos/ is read from the repository)
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const [address, specFile] = process.argv.slice(2);
const protos = fileURLToPath(new URL('../../../protos/', import.meta.url));
const definition = loader.loadSync(
  ['mesh/gateway/v1/auth_service.proto', 'mesh/backtest/v1/backtest_service.proto'],
  { includeDirs: [protos, `${protos}vendor`], keepCase: true, longs: Number, enums: String, oneofs: true },
);
const { mesh } = grpc.loadPackageDefinition(definition);
const credentials = grpc.credentials.createInsecure();
const auth = new mesh.gateway.v1.AuthService(address, credentials);
const backtests = new mesh.backtest.v1.BacktestService(address, credentials);

const call = (client, method, request, metadata = new grpc.Metadata()) =>
  new Promise((resolve, reject) =>
    client[method](request, metadata, { deadline: Date.now() + 30_000 }, (error, reply) =>
      error ? reject(error) : resolve(reply)),
  );

const { token } = await call(auth, 'ExchangeApiKey', { api_key: process.env.MESH_API_KEY });
const metadata = new grpc.Metadata();
metadata.set('authorization', `Bearer ${token}`);

const spec = JSON.parse(readFileSync(specFile, 'utf8'));
const request = { request_id: randomUUID(), name: 'from Node', spec };
const { backtest } = await call(backtests, 'CreateBacktest', request, metadata);

const events = backtests.WatchBacktest({ backtest_id: backtest.backtest_id }, metadata);
for await (const event of events) {
  if (event.progress) console.error(`${Math.round(event.progress.fraction * 100)} %`);
}
const done = await call(backtests, 'GetBacktest', { backtest_id: backtest.backtest_id }, metadata);
console.log(JSON.stringify(done.backtest, null, 2));
process.exit(done.backtest.state === 'BACKTEST_STATE_SUCCEEDED' ? 0 : 1);
